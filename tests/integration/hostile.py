"""Raw connections to one server with low limits, for tests of hostile clients."""

import asyncio
import re
import secrets
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import httpx2
import psutil
import pytest

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
    """The server of one module's tests. It must log no errors."""
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
    """A POST request; `length` is its Content-Length, by default that of the body."""
    lines = ["host: test", "content-type: application/json", *fields]
    lines.append(f"content-length: {len(body) if length is None else length}")
    return f"POST {V1}{path} HTTP/1.1\r\n" + "\r\n".join(lines) + "\r\n\r\n" + body


def status(reply: str) -> int:
    """The status code of the reply."""
    return int(reply.split(" ", 2)[1])


def statuses(replies: str) -> list[str]:
    """The status codes of pipelined replies."""
    return re.findall(r"HTTP/1.1 (\d+)", replies)


def bearer(headers: dict[str, str]) -> str:
    """The header field of a session, for raw requests."""
    return f"authorization: {headers['authorization']}"


GET = "GET /health/live HTTP/1.1\r\n"
POST = f"POST {V1}/auth/login HTTP/1.1\r\n"
