"""Slow, vanished or hostile clients do not affect others. One server with low limits."""

import asyncio
import json
import re
import secrets
import select
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Self

import httpx2
import psutil
import pytest

from fastapi_base.serving.connections import MOST_REFUSED
from ops.dev.places import free_port
from tests.integration import logs
from tests.integration.conftest import TEMPLATE
from tests.integration.databases import clone, drop, sibling
from tests.integration.processes import GUNICORN, running, serves
from tests.integration.waiting import until

V1 = "/api/v1"
WORDS = "/jobs/word-count"
PASSWORD = "violet teapot marches 77 north"
CLOSE = "connection: close\r\n"
HOST = "host: test\r\n"
SETTINGS = {
    "API_WORKERS": "1",
    "API_CONCURRENCY": "4",
    "API_TRUSTED_HOSTS": "test,127.0.0.1",
    "API_BODY_TIMEOUT": "10",
    "API_BODY_PAUSE": "1.5",
    "API_PENDING_BODIES_PER_ADDRESS": "8",
    "API_WRITE_TIMEOUT": "1",
    "API_CONNECTIONS_PER_ADDRESS": "20",
    "API_STREAMS_PER_ACCOUNT": "2",
    "DATABASE_POOL_SIZE": "3",
    "DATABASE_POOL_TIMEOUT": "2",
    "RATE_LIMIT_ROUTES": "POST /api/v1/auth/password-reset=1/hour",
    "LOG_FORMAT": "json",
}


def any_address() -> str:
    """One dual-stack socket, where this machine has IPv6: IPv4 peers have mapped addresses then."""
    with suppress(OSError), socket.socket(socket.AF_INET6) as tried:
        tried.bind(("::", 0))
        return "::"
    return "127.0.0.1"


class Peer:
    """A raw connection."""

    def __init__(self, port: int, *, source: str = "127.0.0.1", buffer: int = 0) -> None:
        self.socket = socket.socket()
        if buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self.socket.settimeout(20)
        self.socket.bind((source, 0))
        self.socket.connect(("127.0.0.1", port))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, text: str | bytes) -> Self:
        with suppress(ConnectionResetError, BrokenPipeError):
            self.socket.sendall(text.encode() if isinstance(text, str) else text)
        return self

    def head(self) -> str:
        """Status line and headers of a reply; the body is left unread."""
        got = b""
        while not got.endswith(b"\r\n\r\n"):
            part = self.socket.recv(1)
            assert part, got
            got += part
        return got.decode()

    def rest(self) -> str:
        """Everything until the server closes the connection, which it must."""
        got = b""
        with suppress(ConnectionResetError):
            while part := self.socket.recv(65536):
                got += part
        return got.decode()


class Server:
    """The running server, and its log."""

    def __init__(self, port: int, log: Path, database: str) -> None:
        self.port = port
        self.database = database
        self._log = log
        self._accounts = 0

    def peer(self, **options: Any) -> Peer:
        return Peer(self.port, **options)

    def exchange(self, sent: str | bytes) -> str:
        with self.peer() as peer:
            return peer.send(sent).rest()

    def client(self, address: str = "10.1.1.1", **headers: str) -> httpx2.Client:
        headers = {"x-forwarded-for": address, **headers}
        return httpx2.Client(base_url=f"http://127.0.0.1:{self.port}", headers=headers, timeout=20)

    def account(self) -> tuple[str, dict[str, str]]:
        """A new account: its e-mail address, and the header of its session."""
        self._accounts += 1
        mail = f"user-{self._accounts}@example.org"
        with self.client(f"10.2.2.{self._accounts}") as client:
            made = client.post(f"{V1}/auth/register", json={"email": mail, "password": PASSWORD})
            assert made.status_code == 202, made.text
            login = client.post(f"{V1}/auth/login", data={"username": mail, "password": PASSWORD})
        return mail, {"authorization": f"Bearer {login.raise_for_status().json()['access_token']}"}

    def lets_go_of(self, peer: Peer) -> None:
        """Wait until the server has closed this connection, whatever the peer has noticed."""
        port = peer.socket.getsockname()[1]

        async def closed() -> bool | None:
            found = psutil.net_connections("tcp")
            ends = [one for one in found if one.raddr and one.raddr[1] == port and one.pid]
            return None if any(one.laddr[1] == self.port for one in ends if one.laddr) else True

        asyncio.run(until(closed, "the connection is closed"))

    def events(self, **wanted: object) -> list[dict[str, Any]]:
        return [e for e in logs.events(self._log) if wanted.items() <= e.items()]

    def logged(self, count: int = 1, **wanted: object) -> list[dict[str, Any]]:
        """Wait for this many log lines with these values; they follow what a client sees."""

        async def there() -> list[dict[str, Any]] | None:
            found = self.events(**wanted)
            return found if len(found) >= count else None

        return asyncio.run(until(there, f"lines with {wanted}"))


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, admin_url: str, redis_url: str, worker_number: int
) -> Iterator[Server]:
    name = f"service_{worker_number}_hostile"
    port, log = free_port(), tmp_path_factory.mktemp("hostile") / "api.log"
    asyncio.run(clone(admin_url, name, TEMPLATE))
    url = sibling(admin_url, name)
    given = {
        "DATABASE_URL": url,
        "REDIS_URL": redis_url,
        "API_HOST": any_address(),
        # Development keys are refused where other machines could reach the service.
        "AUTH_JWT_SECRET": secrets.token_urlsafe(48),
        "AUTH_ENCRYPTION_KEY": secrets.token_urlsafe(48),
    }
    with running(GUNICORN, log, **given, API_PORT=str(port), **SETTINGS):
        found = Server(port, log, url)
        asyncio.run(serves(port))
        yield found
    asyncio.run(drop(admin_url, name))
    wrong = [e for e in found.events() if e["level"] in {"error", "critical"} or "exception" in e]
    assert not wrong


def post(path: str, *fields: str, body: str = "", length: int | str | None = None) -> str:
    lines = ["host: test", "content-type: application/json", *fields]
    lines.append(f"content-length: {len(body) if length is None else length}")
    return f"POST {V1}{path} HTTP/1.1\r\n" + "\r\n".join(lines) + "\r\n\r\n" + body


def status(reply: str) -> int:
    return int(reply.split(" ", 2)[1])


def statuses(replies: str) -> list[str]:
    return re.findall(r"HTTP/1.1 (\d+)", replies)


def bearer(headers: dict[str, str]) -> str:
    return f"authorization: {headers['authorization']}"


def test_partial_bodies_do_not_affect_others(server: Server) -> None:
    _, mine = server.account()
    form = "content-type: application/x-www-form-urlencoded"
    half = [
        post(WORDS, bearer(mine), "x-forwarded-for: 10.66.0.1", body="{", length=100),
        post("/auth/login", form, "x-forwarded-for: 10.66.0.1", body="u", length=100),
    ]
    with ExitStack() as stack:
        peers = [stack.enter_context(server.peer()).send(half[n % 2]) for n in range(60)]
        # All but the last few of one address were evicted.
        assert {status(peer.rest()) for peer in peers[:-8]} == {429}
        with server.client(**mine) as client:
            for _ in range(10):
                assert client.get(f"{V1}/users/me").status_code == 200
                assert client.post(f"{V1}{WORDS}", json={"text": "T"}).status_code == 202
            assert client.get("/health/ready").status_code == 200
        # Complete bodies are served meanwhile, even from the same address.
        with server.client("10.66.0.1", **mine) as client:
            assert client.post(f"{V1}{WORDS}", json={"text": "T"}).status_code == 202


@pytest.mark.parametrize(
    ("request_", "refused"),
    [
        (post(WORDS, "expect: 100-continue", length=100), 401),
        (post(WORDS, "expect: 100-continue", "authorization: Bearer x.y.z", length=100), 401),
        (post(WORDS, "expect: 100-continue", "authorization: Bearer fb_x", length=100), 401),
        (post("/nowhere", "expect: 100-continue", length=100), 404),
        (post("/users/me", "expect: 100-continue", length=100), 405),
        (post("/auth/login", "expect: 100-continue", length=2_000_000), 413),
        (post("/auth/login", "expect: 100-continue", "x-a: b", length=10**18), 413),
        (post("/auth/login", "expect: 100-continue", length=f"{2_000_000:040}"), 413),
        (post("/auth/login", "expect: 100-continue \t", length="2000000 \t "), 413),
        (post(WORDS, length=f"{100:040}"), 401),
        (post(WORDS, length="100\t"), 401),
        (f"GET /health/live HTTP/1.1\r\n{HOST}content-length: 100\r\n\r\n", 200),
        (f"POST /health/live HTTP/1.1\r\n{HOST}transfer-encoding: chunked\r\n\r\n", 405),
        (f"GET /nowhere HTTP/1.1\r\nhost: other\r\n{HOST[:0]}content-length: 9\r\n\r\n", 421),
    ],
)
def test_no_body_is_read_where_the_reply_does_not_need_it(
    server: Server, request_: str, refused: int
) -> None:
    reply = server.exchange(request_)
    assert status(reply) == refused
    assert "\r\nconnection: close\r\n" in reply


def test_no_body_is_read_beyond_the_rate_limit(server: Server) -> None:
    fields = ("expect: 100-continue", "x-forwarded-for: 10.3.3.3")
    path = "/auth/password-reset"
    sent = post(path, *fields, "connection: close", body='{"email": "nobody@example.org"}')
    assert "HTTP/1.1 100 Continue\r\n" in server.exchange(sent)
    reply = server.exchange(post(path, *fields, length=100))
    assert status(reply) == 429
    assert "\r\nconnection: close\r\n" in reply


@pytest.mark.parametrize("length", ["4000000", f"{4_000_000:040}", "4000000 ", "4000000\t"])
def test_reply_to_a_large_refused_body_is_delivered(server: Server, length: str) -> None:
    sent = post("/auth/login", body="a" * 4_000_000, length=length)
    reply = server.exchange(sent)
    assert status(reply) == 413
    assert (
        json.loads(reply.partition("\r\n\r\n")[2])["type"] == "urn:fastapi-base:content-too-large"
    )


def test_late_and_stalled_bodies_are_aborted(server: Server) -> None:
    began = time.monotonic()
    still = server.exchange(post("/auth/login", body="u", length=100))
    # The pause ended it, not the time limit of the whole body.
    assert (status(still), time.monotonic() - began < 10) == (408, True)
    assert "urn:fastapi-base:request-timeout" in still
    chunked = f"POST {V1}/auth/login HTTP/1.1\r\n{HOST}transfer-encoding: chunked\r\n\r\n"
    began = time.monotonic()
    with server.peer() as peer:
        peer.send(chunked)
        # Slowly, but never with too long a pause.
        while not select.select([peer.socket], [], [], 0.3)[0]:
            peer.send("1\r\na\r\n")
            assert time.monotonic() - began < 60
        assert status(peer.rest()) == 408


def test_client_disconnect_is_not_an_error(server: Server) -> None:
    gone = {"event": "client disconnected", "path": f"{V1}/auth/login"}
    before = len(server.events(**gone))
    with server.peer() as peer:
        peer.send(post("/auth/login", body="u", length=100))
    server.logged(before + 1, **gone)


GET = "GET /health/live HTTP/1.1\r\n"
POST = f"POST {V1}/auth/login HTTP/1.1\r\n"


@pytest.mark.parametrize(
    ("sent", "refused", "because"),
    [
        (GET, 400, "Host is missing"),
        (f"{GET}host: a\r\nhost: a\r\n", 400, "occur only once"),
        (f"{GET}host:\r\n", 400, "a name or an IP address"),
        (f"{GET}host: a b\r\n", 400, "a name or an IP address"),
        (f"{GET}host: user@a\r\n", 400, "a name or an IP address"),
        (f"{GET}host: a/b\r\n", 400, "a name or an IP address"),
        (f"{GET}host: a, b\r\n", 400, "a name or an IP address"),
        (f"{GET}host: a:b\r\n", 400, "a name or an IP address"),
        (f"{GET}host: [::1\r\n", 400, "a name or an IP address"),
        (f"{GET}host: [1::2::3]\r\n", 400, "a name or an IP address"),
        (f"GET /nowhere HTTP/1.0\r\n{HOST}{HOST}", 400, "occur only once"),
        (
            f"{POST}{HOST}content-length: 1\r\ntransfer-encoding: chunked\r\n",
            400,
            "HTTP request is invalid",
        ),
        (
            f"{POST}{HOST}transfer-encoding: chunked\r\ncontent-length: 1\r\n",
            400,
            "HTTP request is invalid",
        ),
        (f"{POST}{HOST}content-length: 1\r\ncontent-length: 2\r\n", 400, "HTTP request is invalid"),
        (f"{POST}{HOST}content-length: 1, 2\r\n", 400, "HTTP request is invalid"),
        (f"{POST}{HOST}content-length: +1\r\n", 400, "HTTP request is invalid"),
        (f"{POST}{HOST}transfer-encoding: xchunked\r\n", 501, "Only the transfer coding chunked"),
        (
            f"{POST}{HOST}transfer-encoding: gzip, chunked\r\n",
            501,
            "Only the transfer coding chunked",
        ),
        (f"{POST}{HOST}transfer-encoding: chunked, chunked\r\n", 400, "HTTP request is invalid"),
        (
            POST.replace("1.1", "1.0") + "transfer-encoding: chunked\r\n",
            400,
            "not allowed in HTTP/1.0",
        ),
        (f"{GET}{HOST}x: a\r\n b\r\n", 400, "HTTP request is invalid"),
        (f"{GET}{HOST}x: a\rb\r\n", 400, "HTTP request is invalid"),
        (f"{GET}host : test\r\n", 400, "HTTP request is invalid"),
        (f"{GET}{HOST}x: a\0b\r\n", 400, "HTTP request is invalid"),
        (f"GET /health/live HTTP/2.0\r\n{HOST}", 505, "send HTTP/1.1"),
        ("GET /health/live\r\n", 505, "send HTTP/1.1"),
        (f"CONNECT test:80 HTTP/1.1\r\n{HOST}", 501, "CONNECT"),
        (f"GET ftp://test/ HTTP/1.1\r\n{HOST}", 400, "The target"),
        (f"GET http://a@test/ HTTP/1.1\r\n{HOST}", 400, "The target"),
        (f"GET /api/v1/users/me#/health/live HTTP/1.1\r\n{HOST}", 400, "no fragment"),
        ("GET /health/live HTTP/1.1\r\nhost: test:65536\r\n", 400, "a name or an IP address"),
        (f"GET http:///health/live HTTP/1.1\r\n{HOST}", 400, "The target"),
        (f"GET health/live HTTP/1.1\r\n{HOST}", 400, "HTTP request is invalid"),
    ],
)
def test_ambiguous_requests_are_refused(
    server: Server, sent: str, refused: int, because: str
) -> None:
    reply = server.exchange(f"{sent}\r\n")
    assert status(reply) == refused, reply
    assert "\r\nconnection: close\r\n" in reply
    problem = json.loads(reply.partition("\r\n\r\n")[2])
    assert problem["status"] == refused
    assert because in problem["detail"]


@pytest.mark.parametrize(
    ("sent", "wanted"),
    [
        ("GET /health/live HTTP/1.0\r\n", 200),
        (f"{GET}host: a_b.example:8000\r\n{CLOSE}", 200),
        (f"{GET}host: [2001:db8::1]:8000\r\n{CLOSE}", 200),
        (f"GET http://test/health/live HTTP/1.1\r\nhost: other\r\n{CLOSE}", 200),
        (f"OPTIONS * HTTP/1.1\r\n{HOST}{CLOSE}", 404),
        # The host of the target applies, not the header (RFC 9112, 3.2.2).
        (f"GET http://test{V1}/users/me HTTP/1.1\r\nhost: other\r\n{CLOSE}", 401),
        (f"GET http://other{V1}/users/me HTTP/1.1\r\n{HOST}{CLOSE}", 421),
    ],
)
def test_unusual_requests_are_served(server: Server, sent: str, wanted: int) -> None:
    assert status(server.exchange(f"{sent}\r\n")) == wanted


@pytest.mark.parametrize(
    ("bad", "refused"),
    [
        ("rubbish\r\n\r\n", "400"),
        (f"{GET}\r\n", "400"),
        (f"{POST}{HOST}transfer-encoding: gzip\r\n\r\n", "501"),
    ],
)
def test_refused_request_does_not_affect_earlier_replies(
    server: Server, bad: str, refused: str
) -> None:
    good = f"{GET}{HOST}\r\n"
    with server.peer() as peer:
        head = peer.send(good).head()
        after = head + peer.send(bad).rest()
    assert statuses(after) == ["200", refused]
    assert after.count('{"status":"ok"}') == 1
    # While a reply is due, the server closes the connection after it and sends nothing more.
    together = server.exchange(good + bad)
    assert statuses(together) == ["200"]
    assert together.count('{"status":"ok"}') == 1


def test_pipelined_requests_are_bounded(server: Server) -> None:
    # Clients resend requests that the server did not read.
    replies = server.exchange(f"{GET}{HOST}\r\n" * 500)
    assert set(statuses(replies)) == {"200"}
    assert 1 < len(statuses(replies)) < 60


def test_upgrade_header_loses_no_body(server: Server) -> None:
    _, mine = server.account()
    offer = ("connection: Upgrade, HTTP2-Settings", "upgrade: h2c", "http2-settings: AAMA")
    made = post(WORDS, bearer(mine), *offer, body='{"text": "T"}')
    get = f"{GET}{HOST}{CLOSE}\r\n"
    assert statuses(server.exchange(made + get)) == ["202", "200"]


def test_trailers_are_not_headers(server: Server) -> None:
    chunked = f"POST {V1}{WORDS} HTTP/1.1\r\n{HOST}{CLOSE}transfer-encoding: chunked\r\n"
    _, mine = server.account()
    body = "content-type: application/json\r\n\r\nd\r\n" + '{"text": "T"}' + "\r\n0\r\n"
    good = f"{chunked}{bearer(mine)}\r\n{body}\r\n"
    assert status(server.exchange(good)) == 202
    keyed = f"{chunked}{bearer(mine)}\r\n{body}idempotency-key: a\r\n\r\n"
    replies = [server.exchange(keyed) for _ in range(2)]
    assert [status(reply) for reply in replies] == [202, 202]
    assert "idempotency-replayed" not in replies[1]


@pytest.mark.parametrize(
    ("forwarded", "client"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("203.0.113.9, ::ffff:127.0.0.1", "203.0.113.9"),
        ("203.0.113.9:4711", "203.0.113.9"),
        ("[2001:DB8::1]:4711", "2001:db8::1"),
        ('for="[2001:db8::1]";proto=https', "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("203.0.113.9, unknown", "127.0.0.1"),
        ("198.51.100.1, 203.0.113.9", "203.0.113.9"),
    ],
)
def test_addresses_have_one_form(server: Server, forwarded: str, client: str) -> None:
    request_id = "id-" + re.sub(r"[^a-z0-9]", "-", forwarded.lower()).ljust(8, "-")
    with server.client(forwarded) as asked:
        assert asked.get("/nowhere", headers={"x-request-id": request_id}).status_code == 404
    [line] = server.logged(request_id=request_id, event="request")
    assert line["client"] == client


def test_connections_of_one_peer_are_bounded(server: Server) -> None:
    live = f"{GET}{HOST}\r\n"
    with ExitStack() as stack:
        peers = [stack.enter_context(server.peer(source="127.0.0.2")) for _ in range(20)]
        for peer in peers:
            assert "200 OK" in peer.send(live).head()
        with server.peer(source="127.0.0.2") as one_more:
            assert status(one_more.rest()) == 429
        # Others are served, and proxies have no such limit.
        for source in ("127.0.0.3", *["127.0.0.1"] * 25):
            other = stack.enter_context(server.peer(source=source))
            assert "200 OK" in other.send(live).head()

    async def room() -> bool | None:
        with server.peer(source="127.0.0.2") as again:
            return status(again.send(live).head()) == 200 or None

    asyncio.run(until(room, "a connection is accepted after the others closed"))


def test_refused_connections_are_closed_although_their_peers_stay(server: Server) -> None:
    live = f"{GET}{HOST}\r\n"
    with ExitStack() as stack:
        innocent = stack.enter_context(server.peer(source="127.0.0.3"))
        assert "200 OK" in innocent.send(live).head()
        for _ in range(20):
            assert (
                "200 OK" in stack.enter_context(server.peer(source="127.0.0.4")).send(live).head()
            )
        for _ in range(150):
            refused = stack.enter_context(server.peer(source="127.0.0.4"))
            assert status(refused.send(live).rest()) == 429
        open_ = [
            one
            for one in psutil.net_connections("tcp")
            if one.pid and one.raddr and one.laddr and one.laddr[1] == server.port
            if one.raddr[0].endswith("127.0.0.4")
        ]
        assert len(open_) <= 20 + MOST_REFUSED
        assert "200 OK" in innocent.send(live).head()


def test_unread_replies_are_aborted(server: Server) -> None:
    one = f"GET /openapi.json HTTP/1.1\r\n{HOST}\r\n"
    # During a reply, and after it was written to the kernel's buffer.
    for count in (30, 1):
        with server.peer(buffer=4096) as peer:
            peer.send(one * count).head()
            server.lets_go_of(peer)


def test_event_streams_are_limited_per_account(server: Server) -> None:
    _, mine = server.account()
    with server.client(**mine) as client:
        job = client.post(f"{V1}/jobs/word-count", json={"text": "one fish"}).json()["id"]
        path = f"{V1}/jobs/{job}/events"
        with client.stream("GET", path) as one, client.stream("GET", path) as two:
            assert (one.status_code, two.status_code) == (200, 200)
            refused = client.get(path)
            assert refused.status_code == 429
            assert refused.json()["type"] == "urn:fastapi-base:too-many-at-once"
            assert refused.headers["retry-after"]
        _, other = server.account()
        with client.stream("GET", path, headers=other) as theirs:
            assert theirs.status_code == 404

    async def room() -> bool | None:
        with server.client(**mine) as client, client.stream("GET", path) as again:
            return again.status_code == 200 or None

    asyncio.run(until(room, "a stream is accepted"))
