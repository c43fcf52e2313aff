"""A network that can be broken: a TCP proxy that swallows what is sent, or cuts what is open."""

import asyncio
import contextlib
import threading
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self

from ops.dev import places


class Proxy:
    """Use as a context. It runs on a thread of its own, so that it works while its caller waits."""

    def __init__(self, target: int) -> None:
        self.port = places.free_port()
        self._target = target
        self._loop = asyncio.new_event_loop()
        self._open = asyncio.Event()
        self._streams: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def __enter__(self) -> Self:
        threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True).start()
        self._do(self._listen())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)

    def freeze(self) -> None:
        """Swallow everything from now on: nobody is told, and new connections get no answer."""
        self._loop.call_soon_threadsafe(self._open.clear)

    def thaw(self) -> None:
        """Let everything through again, what waits too."""
        self._loop.call_soon_threadsafe(self._open.set)

    def cut(self) -> None:
        """Reset all connections. What is on the way is lost."""
        self._do(self._cut())

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _listen(self) -> None:
        self._open.set()
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
        try:
            await self._open.wait()
            there = await asyncio.open_connection(places.LOOPBACK, self._target)
            self._streams.add(there[1])
            try:
                async with asyncio.TaskGroup() as both:
                    both.create_task(self._carry(reader, there[1]))
                    both.create_task(self._carry(there[0], writer))
            finally:
                self._streams.discard(there[1])
                there[1].transport.abort()
        except* (OSError, asyncio.CancelledError):
            pass
        finally:
            self._streams.discard(writer)
            self._tasks.discard(task)
            writer.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            await self._open.wait()
            writer.write(data)
            await writer.drain()
        with contextlib.suppress(OSError):
            writer.write_eof()
