"""Many questions at once, asked as one."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import cast


class Batcher[Question, Answer]:
    """Puts questions that come at the same time into one call of `ask`, which answers in order.

    A question that finds nothing under way is asked at once, so that a single one never waits.
    While `at_once` calls are under way the others gather, and make the next call: the busier the
    service, the less each costs. A question is never answered by a call that began before it, so
    the answer is as fresh as if it had been asked alone. A call that fails, fails for all in it. It
    runs in the context (contextvars) of the first.
    """

    def __init__(
        self,
        ask: Callable[[Sequence[Question]], Awaitable[Sequence[Answer]]],
        *,
        at_once: int = 1,
        most: int = 100,
    ) -> None:
        self._ask = ask
        self._at_once = at_once
        self._most = most
        self._waiting: list[tuple[Question, asyncio.Future[Answer]]] = []
        self._calls: set[asyncio.Task[None]] = set()

    async def ask(self, question: Question) -> Answer:
        """The answer. Raises what the call raised."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((question, future))
        if len(self._calls) < self._at_once:
            self._calls.add(asyncio.create_task(self._answer_all()))
        return await future

    async def _answer_all(self) -> None:
        try:
            while self._waiting:
                await self._answer()
        finally:
            # In the step in which nobody waited any more: who comes next begins a call.
            self._calls.remove(cast("asyncio.Task[None]", asyncio.current_task()))

    async def _answer(self) -> None:
        batch, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
        try:
            answers = await self._ask([question for question, _ in batch])
        except asyncio.CancelledError:
            for _, future in batch:
                future.cancel()
            raise
        except Exception as error:
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
        else:
            for (_, future), answer in zip(batch, answers, strict=True):
                # Who does not want the answer any more has cancelled.
                if not future.done():
                    future.set_result(answer)
