"""A breakable network: a TCP proxy that drops traffic or closes connections."""

import asyncio
import contextlib
import threading
from collections.abc import Coroutine
from typing import Any, Self

from ops.dev import places


class Proxy:
    """Use as a context. It runs in its own thread, so that it works while its caller waits."""

    def __init__(self, target: int) -> None:
        self.port = places.free_port()
        self._target = target
        self._loop = asyncio.new_event_loop()
        self._open = asyncio.Event()
        # Connections that are open now; see strand().
        self._lines = asyncio.Event()
        self._refuses = False
        self._streams: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def __enter__(self) -> Self:
        threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True).start()
        self._do(self._listen())
        return self

    def __exit__(self, *_: object) -> None:
        self._do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)

    def freeze(self) -> None:
        """Drop all traffic silently from now on; new connections get no response."""
        self._loop.call_soon_threadsafe(self._open.clear)

    def refuse(self) -> None:
        """Reset all connections, and each new one at once."""
        self._refuses = True
        self.cut()

    def thaw(self) -> None:
        """Forward everything again, including buffered data."""
        self._refuses = False
        self._loop.call_soon_threadsafe(self._open.set)

    def strand(self) -> None:
        """Drop traffic on the connections that are open now; new ones work."""
        self._loop.call_soon_threadsafe(self._strand)

    def cut(self) -> None:
        """Reset all connections. Data in transit is lost."""
        self._do(self._cut())

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def _strand(self) -> None:
        self._lines.clear()
        self._lines = asyncio.Event()
        self._lines.set()

    async def _listen(self) -> None:
        self._open.set()
        self._lines.set()
        self._server = await asyncio.start_server(self._serve, places.LOOPBACK, self.port)

    async def _end(self) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._cut()

    async def _cut(self) -> None:
        for stream in self._streams:
            stream.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._tasks.add(task)
        self._streams.add(writer)
        line = self._lines
        try:
            if self._refuses:
                return
            await self._open.wait()
            there = await asyncio.open_connection(places.LOOPBACK, self._target)
            self._streams.add(there[1])
            try:
                async with asyncio.TaskGroup() as both:
                    both.create_task(self._carry(line, reader, there[1]))
                    both.create_task(self._carry(line, there[0], writer))
            finally:
                self._streams.discard(there[1])
                there[1].transport.abort()
        except* (OSError, asyncio.CancelledError):
            pass
        finally:
            self._streams.discard(writer)
            self._tasks.discard(task)
            writer.transport.abort()

    async def _carry(
        self, line: asyncio.Event, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while data := await reader.read(65536):
            await self._open.wait()
            await line.wait()
            writer.write(data)
            await writer.drain()
        with contextlib.suppress(OSError):
            writer.write_eof()
