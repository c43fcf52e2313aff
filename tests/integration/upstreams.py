"""Minimal servers behind a load balancer: the requests that they got, and their replies."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"

Answer = Callable[["Request", asyncio.StreamWriter], Awaitable[None]]


@dataclass(frozen=True)
class Request:
    """The head of a request, and the number of the connection that carried it."""

    line: str
    headers: dict[str, str]
    connection: int


@dataclass
class Upstream:
    """A server: its port, and the requests that it received."""

    port: int
    requests: list[Request] = field(default_factory=list)

    @property
    def address(self) -> str:
        """The address as nginx writes it."""
        return f"127.0.0.1:{self.port}"


async def say_ok(_: Request, writer: asyncio.StreamWriter) -> None:
    """Reply to anything with 200."""
    writer.write(OK)


async def hang_up(_: Request, writer: asyncio.StreamWriter) -> None:
    """Read a request and close without a reply, like a process that dies."""
    writer.close()


@asynccontextmanager
async def upstream(answer: Answer = say_ok) -> AsyncIterator[Upstream]:
    """A server with this behaviour."""
    connections = 0
    open_writers: set[asyncio.StreamWriter] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        mine = connections
        open_writers.add(writer)
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                first, *lines = head.strip().split("\r\n")
                headers = {}
                for line in lines:
                    name, _, value = line.partition(":")
                    headers[name.lower()] = value.strip()
                await reader.readexactly(int(headers.get("content-length", 0)))
                request = Request(first, headers, mine)
                running.requests.append(request)
                await answer(request, writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            open_writers.discard(writer)
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    running = Upstream(server.sockets[0].getsockname()[1])
    try:
        yield running
    finally:
        server.close()
        for writer in list(open_writers):
            writer.close()
        await server.wait_closed()
