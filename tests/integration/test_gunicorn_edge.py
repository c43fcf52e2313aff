"""What the server does before the application: proxies, header limits, worker replacement."""

import asyncio
import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import httpx2
import pytest

from ops.dev.places import free_port
from tests.integration import logs
from tests.integration.processes import GUNICORN, outcome, running, serves
from tests.integration.waiting import until

HEAD = "GET /health/live HTTP/1.1\r\nhost: test\r\n"
ID = "the-one-that-is-looked-for"


class Server:
    """A running server: its port and its log."""

    def __init__(self, port: int, log: Path) -> None:
        self.port = port
        self._log = log

    def events(self) -> list[dict[str, Any]]:
        return logs.events(self._log)

    def errors(self) -> list[dict[str, Any]]:
        return [
            event
            for event in self.events()
            if event["level"] in {"error", "critical"} or "Error" in str(event["event"])
        ]

    def exchange(self, sent: str, seconds: float = 10) -> str:
        """Send these bytes, and read until the server closes the connection, within this time."""
        got = b""
        with (
            socket.create_connection(("127.0.0.1", self.port), seconds) as peer,
            # Closing before everything is read resets the connection.
            suppress(ConnectionResetError, BrokenPipeError),
        ):
            peer.sendall(sent.encode())
            while part := peer.recv(65536):
                got += part
        return got.decode()


Start = Callable[..., Server]


@pytest.fixture
def start(tmp_path: Path, fresh_database_url: str, redis_url: str) -> Iterator[Start]:
    """Starts the API with these settings; it must shut down cleanly and log no errors."""
    servers = []
    with ExitStack() as stack:

        def begin(**settings: str) -> Server:
            port = free_port()
            log = tmp_path / "api.log"
            stack.enter_context(
                running(
                    GUNICORN,
                    log,
                    DATABASE_URL=fresh_database_url,
                    REDIS_URL=redis_url,
                    API_PORT=str(port),
                    LOG_FORMAT="json",
                    **{"API_WORKERS": "1", **settings},
                )
            )
            asyncio.run(serves(port))
            servers.append(Server(port, log))
            return servers[-1]

        yield begin
    assert not [event for server in servers for event in server.errors()]


def asked(port: int, forwarded: str) -> None:
    headers = {"x-forwarded-for": forwarded, "x-forwarded-proto": "https", "x-request-id": ID}
    assert httpx2.get(f"http://127.0.0.1:{port}/nowhere", headers=headers).status_code == 404


def seen(server: Server) -> list[object]:
    """The clients of the request, as logged; the line is written after the reply."""

    async def logged() -> list[object] | None:
        return [e["client"] for e in server.events() if e.get("request_id") == ID] or None

    return asyncio.run(until(logged, "a line in the log"))


@pytest.mark.parametrize(
    ("proxies", "forwarded", "client"),
    [
        ("10.1.2.3", "203.0.113.9", "127.0.0.1"),
        ("", "203.0.113.9", "203.0.113.9"),
        # Entries that a caller put before the proxy's own are ignored.
        ("127.0.0.0/8", "198.51.100.1, 203.0.113.9", "203.0.113.9"),
        ("127.0.0.1,10.0.0.0/8", "203.0.113.9, 10.7.7.7", "203.0.113.9"),
    ],
    ids=["unlisted", "default", "spoofed", "two-proxies"],
)
def test_only_listed_proxies_are_trusted(
    start: Start, proxies: str, forwarded: str, client: str
) -> None:
    server = start(API_FORWARDED_ALLOW_IPS=proxies)
    asked(server.port, forwarded)
    assert seen(server) == [client]


def test_invalid_proxy_setting_fails_at_boot(tmp_path: Path) -> None:
    code, errors = outcome(GUNICORN, tmp_path, API_FORWARDED_ALLOW_IPS="10.0.0.1/8")
    assert code == 1
    assert "API_FORWARDED_ALLOW_IPS" in errors
    assert "'10.0.0.1/8' must look like 10.0.0.0/8" in errors


def test_oversized_and_slow_request_heads_are_refused(start: Start) -> None:
    server = start(API_MAX_HEADER_BYTES="4096", API_MAX_HEADERS="20", API_HEADER_TIMEOUT="1")

    def status(sent: str) -> str:
        return server.exchange(sent).partition("\r\n")[0]

    close = "connection: close\r\n\r\n"
    ok = "HTTP/1.1 200 OK"
    refused = "HTTP/1.1 431 Request Header Fields Too Large"
    assert status(f"{HEAD}x-a: {'a' * 3000}\r\n{close}") == ok
    assert status(f"{HEAD}x-a: {'a' * 4096}\r\n{close}") == refused
    # The parser buffers a field without an end, where the count of complete fields does not see it.
    assert status(f"{HEAD}x-a: {'a' * 4_000_000}") in (refused, "")
    assert status(HEAD + "".join(f"x-{n}: 1\r\n" for n in range(17)) + close) == ok
    assert status(HEAD + "".join(f"x-{n}: 1\r\n" for n in range(20)) + close) == refused
    assert status(f"GET /{'a' * 5000} HTTP/1.1\r\n{close}") == "HTTP/1.1 414 URI Too Long"

    # Slow: a head without an end, and nothing at all.
    began = time.monotonic()
    assert status(HEAD) == "HTTP/1.1 408 Request Timeout"
    assert server.exchange("") == ""
    assert server.exchange("\r\n\r\n") == ""
    assert time.monotonic() - began < 9
    # The limit applies to each request, not to a connection.
    two = HEAD + "x-a: " + "a" * 3000 + "\r\n"
    assert server.exchange(f"{two}\r\n{two}{close}").count(ok) == 2
    # Trailer fields of a chunked body count as well.
    form = "username=ada%40example.com&password=hunter2-correct-horse"
    post = (
        "POST /api/v1/auth/login HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n"
        f"content-type: application/x-www-form-urlencoded\r\n{close}"
        f"{len(form):x}\r\n{form}\r\n0\r\n"
    )

    def trailers(count: int) -> str:
        return "".join(f"x-{n}: {'a' * 100}\r\n" for n in range(count)) + "\r\n"

    assert status(post + trailers(3)) == "HTTP/1.1 401 Unauthorized"
    assert status(post + trailers(100)) in (refused, "")


def test_idle_connections_are_closed_after_the_timeout(start: Start) -> None:
    server = start(API_KEEPALIVE="1")
    began = time.monotonic()
    assert server.exchange(f"{HEAD}\r\n").startswith("HTTP/1.1 200 OK")
    assert 0.9 < time.monotonic() - began < 8


def test_processes_are_replaced_at_different_times_without_lost_requests(start: Start) -> None:
    server = start(API_WORKERS="2", API_MAX_REQUESTS="100", API_MAX_REQUESTS_JITTER="100")

    def limits() -> list[int]:
        """The number of processes that have reached their limit."""
        said = [str(event["event"]) for event in server.events()]
        return [int(found[1]) for text in said if (found := re.search(r"limit of (\d+)", text))]

    async def ask() -> set[int]:
        """Send requests until four processes were replaced; the kernel distributes them."""
        fresh = httpx2.Limits(max_keepalive_connections=0)
        base = f"http://127.0.0.1:{server.port}"
        async with httpx2.AsyncClient(base_url=base, limits=fresh, timeout=60) as client:
            codes = set()
            for number in range(2_000):
                replies = await asyncio.gather(*(client.get("/health/live") for _ in range(5)))
                codes |= {reply.status_code for reply in replies}
                if number % 20 == 0 and len(limits()) >= 4:
                    break
            return codes

    assert asyncio.run(ask()) == {200}
    assert len(limits()) >= 4
    assert all(100 <= limit <= 200 for limit in limits())
    assert len(set(limits())) > 1
