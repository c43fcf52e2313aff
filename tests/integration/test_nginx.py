"""nginx as configured in ops/deploy/nginx: TLS, forwarded headers, refusals, failed servers."""

import asyncio
import itertools
import re
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from cryptography import x509

from ops.dev.places import free_port
from tests import nginx as load_balancer
from tests.integration import logs
from tests.integration.certificates import write_certificate
from tests.integration.processes import GUNICORN, doomed, serves
from tests.integration.upstreams import Request, hang_up, say_ok, upstream
from tests.integration.waiting import until
from tests.nginx import NAME, Nginx

pytestmark = pytest.mark.anyio


class Front:
    """An nginx, and clients that use its name."""

    def __init__(self, nginx: Nginx, certificate: Path) -> None:
        self.nginx = nginx
        self._certificate = str(certificate)

    def client(self) -> httpx2.AsyncClient:
        """A client that speaks TLS to the service's name, wherever nginx listens."""
        return httpx2.AsyncClient(
            base_url=f"https://127.0.0.1:{self.nginx.https}",
            verify=ssl.create_default_context(cafile=self._certificate),
            event_hooks={"request": [_by_name]},
            headers={"host": NAME},
            timeout=30,
        )

    def shake(self, name: str = NAME, version: ssl.TLSVersion | None = None) -> ssl.SSLSocket:
        """A connection after the TLS handshake."""
        context = ssl.create_default_context(cafile=self._certificate)
        if version:
            context.minimum_version = context.maximum_version = version
        # Otherwise OpenSSL would not even offer outdated versions.
        context.set_ciphers("DEFAULT@SECLEVEL=0")
        context.set_alpn_protocols(["h2", "http/1.1"])
        peer = socket.create_connection(("127.0.0.1", self.nginx.https), 10)
        return context.wrap_socket(peer, server_hostname=name)


async def _by_name(request: httpx2.Request) -> None:
    """The name for SNI and for certificate verification."""
    request.extensions["sni_hostname"] = NAME


@asynccontextmanager
async def before(folder: Path, *servers: str) -> AsyncIterator[Front]:
    names = (x509.DNSName(NAME), x509.DNSName("other.example.com"))
    certificate, key = write_certificate(folder / "tls", *names)
    with load_balancer.nginx(servers, certificate, key) as running:
        yield Front(running, certificate)


async def test_only_modern_tls_and_only_for_the_configured_name(tmp_path: Path) -> None:
    async with upstream() as api, before(tmp_path, api.address) as front:
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            with front.shake(version=version) as peer:
                assert peer.version() == version.name.replace("_", ".")
                assert re.search("GCM|CHACHA20", str(peer.cipher()))
        with pytest.raises(ssl.SSLError):
            front.shake(version=ssl.TLSVersion.TLSv1_1)
        with pytest.raises(ssl.SSLError, match=r"(?i)unrecognized.name"):
            front.shake("other.example.com")

        with front.shake() as peer:
            assert peer.selected_alpn_protocol() == "h2"
            peer.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]))
            # The server's preface: a SETTINGS frame (RFC 9113, 3.4).
            assert peer.recv(9)[3] == 4

        async with httpx2.AsyncClient() as client:
            reply = await client.get(
                f"http://127.0.0.1:{front.nginx.http}/a?b=c", headers={"host": NAME}
            )
        assert (reply.status_code, reply.headers["location"]) == (308, f"https://{NAME}/a?b=c")


async def test_it_sets_forwarded_headers_and_keeps_connections_alive(tmp_path: Path) -> None:
    async with (
        upstream() as api,
        before(tmp_path, api.address) as front,
        front.client() as client,
    ):
        for given in ("sane-id-of-a-caller", "not sane", None):
            headers = {
                "x-forwarded-for": "203.0.113.9",
                "x-forwarded-proto": "gopher",
                "forwarded": "for=203.0.113.9",
                **({"x-request-id": given} if given else {}),
            }
            assert (await client.get("/some/where", headers=headers)).status_code == 200

        async def written() -> list[dict[str, Any]] | None:
            # nginx logs a line after it has sent the reply.
            found = logs.events(front.nginx.requests)
            return found if len(found) == 3 else None

        logged = await until(written, "a line for each request")
    first, second, third = api.requests
    for request in api.requests:
        assert request.headers["host"] == NAME
        assert request.headers["x-forwarded-for"] == "127.0.0.1"
        assert request.headers["x-forwarded-proto"] == "https"
        assert "forwarded" not in request.headers
        assert "connection" not in request.headers
    assert first.headers["x-request-id"] == "sane-id-of-a-caller"
    ids = {request.headers["x-request-id"] for request in (second, third)}
    assert len(ids) == 2
    assert all(len(one) == 32 for one in ids)
    assert {request.connection for request in api.requests} == {1}
    assert [line["request_id"] for line in logged] == [
        r.headers["x-request-id"] for r in api.requests
    ]
    assert {line["path"] for line in logged} == {"/some/where"}


async def test_oversized_requests_are_refused(tmp_path: Path) -> None:
    async with (
        upstream() as api,
        before(tmp_path, api.address) as front,
        front.client() as client,
    ):
        assert (await client.get("/", headers={"x-a": "a" * 7000})).status_code == 200
        assert (await client.get("/", headers={"x-a": "a" * 9000})).status_code == 400
        assert (await client.get("/" + "a" * 9000)).status_code == 414
        assert (await client.post("/", content=b"a" * (1 << 20))).status_code == 200
        assert (await client.post("/", content=b"a" * ((1 << 20) + 1))).status_code == 413
        assert (await client.get("/health/ready")).status_code == 404
    assert len(api.requests) == 2


@pytest.mark.parametrize(
    ("path", "header"),
    [("/api/v1/jobs/events", b""), ("/anywhere", b"x-accel-buffering: no\r\n")],
    ids=["path", "header"],
)
async def test_events_arrive_one_by_one(tmp_path: Path, path: str, header: bytes) -> None:
    arrived = asyncio.Event()

    async def stream(_: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n" + header)
        writer.write(b"connection: close\r\n\r\ndata: one\n\n")
        await writer.drain()
        # The second is sent only after the other end has received the first.
        await asyncio.wait_for(arrived.wait(), 10)
        writer.write(b"data: two\n\n")
        await writer.drain()
        writer.close()

    async with (
        upstream(stream) as api,
        before(tmp_path, api.address) as front,
        front.client() as client,
        client.stream("GET", path) as reply,
    ):
        got = b""
        async for part in reply.aiter_raw():
            got += part
            arrived.set()
    assert got == b"data: one\n\ndata: two\n\n"


async def test_only_safe_requests_are_retried(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        dying = [await stack.enter_async_context(upstream(hang_up)) for _ in range(2)]
        gone = f"127.0.0.1:{free_port()}"

        numbers = itertools.count()

        async def ask(method: str, *servers: str) -> httpx2.Response:
            folder = tmp_path / str(next(numbers))
            folder.mkdir()
            async with before(folder, *servers) as front, front.client() as client:
                return await client.request(method, "/")

        def came() -> list[int]:
            return [len(one.requests) for one in dying]

        both = [one.address for one in dying]
        # Two attempts, and then a problem document with Retry-After.
        reply = await ask("GET", *both)
        assert sorted(came()) == [1, 1]
        assert reply.status_code == 503
        assert reply.headers["content-type"] == "application/problem+json"
        assert reply.headers["retry-after"] == "5"
        assert reply.json()["status"] == 503
        # The POST was sent and may have taken effect.
        assert (await ask("POST", *both)).status_code == 503
        assert sum(came()) == 3
        # A request that no server accepted goes to the other server.
        well = await stack.enter_async_context(upstream(say_ok))
        assert [(await ask("POST", gone, well.address)).status_code for _ in range(2)] == [200, 200]


async def test_killed_process_loses_at_most_started_replies(
    tmp_path: Path, database_url: str, redis_url: str
) -> None:
    ports = [free_port(), free_port()]
    replies: list[int] = []
    lost: list[str] = []

    async with AsyncExitStack() as stack:
        kills = [
            stack.enter_context(
                doomed(
                    GUNICORN,
                    tmp_path / f"api-{port}.log",
                    DATABASE_URL=database_url,
                    REDIS_URL=redis_url,
                    API_PORT=str(port),
                    API_WORKERS="1",
                    RATE_LIMIT_ENABLED="false",
                    LOG_FORMAT="json",
                )
            )
            for port in ports
        ]
        front = await stack.enter_async_context(
            before(tmp_path, *(f"127.0.0.1:{port}" for port in ports))
        )
        client = await stack.enter_async_context(front.client())

        for port in ports:
            await serves(port)

        async def load() -> None:
            while True:
                try:
                    reply = await client.get("/api/v1/users/me")
                    replies.append(reply.status_code)
                except httpx2.TransportError as error:
                    lost.append(repr(error))

        async def more(count: int) -> None:
            target = len(replies) + count

            async def enough() -> bool | None:
                return len(replies) >= target or None

            await until(enough, "more replies", 60)

        loads = [asyncio.create_task(load()) for _ in range(4)]
        await more(100)
        # All processes at once, as in a power failure.
        kills[0]()
        await more(200)
        for task in loads:
            task.cancel()
        await asyncio.gather(*loads, return_exceptions=True)
        logged = logs.events(front.nginx.requests)
    # Unanswered requests went to the other server. A reply that has started cannot be restarted.
    assert all("without sending complete message body" in error for error in lost)
    assert len(lost) <= len(loads)
    assert set(replies) == {401}
    used = {address for line in logged for address in line["upstream"].split(", ")}
    assert used == {f"127.0.0.1:{port}" for port in ports}
