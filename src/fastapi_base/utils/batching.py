"""Combines concurrent queries into one call."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import cast


class Batcher[Question, Answer]:
    """Combines concurrent questions into one call of `ask`, which returns answers in order.

    A question that arrives while no call is running is sent immediately, so a single one never
    waits. While `at_once` calls are running, further questions are collected for the next call, up
    to `most` each: the higher the load, the lower the cost per question. A question is never
    answered by a call that started before it, so its answer is as fresh as that of a separate call.

    If a call fails, or returns the wrong number of answers, all of its questions fail. A call runs
    in the context (contextvars) of its first question.
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
        """The answer to the question. Raises the error of the call."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((question, future))
        if len(self._calls) < self._at_once:
            self._calls.add(asyncio.create_task(self._answer_all()))
        return await future

    async def _answer_all(self) -> None:
        task = cast("asyncio.Task[None]", asyncio.current_task())
        try:
            while self._waiting:
                await self._answer(task)
        finally:
            # In the same step in which the queue became empty: the next question starts a new call.
            self._calls.remove(task)
            if not self._calls:
                # Questions are left only if this task was cancelled with the event loop.
                left, self._waiting = self._waiting, []
                for _, future in left:
                    future.cancel()

    async def _answer(self, task: asyncio.Task[None]) -> None:
        batch, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
        try:
            answers = await self._ask([question for question, _ in batch])
            if len(answers) != len(batch):
                raise RuntimeError(f"{len(batch)} questions got {len(answers)} answers")
        except BaseException as error:
            ended = isinstance(error, asyncio.CancelledError) and task.cancelling()
            for _, future in batch:
                # A caller that no longer waits has cancelled its future.
                if ended:
                    future.cancel()
                elif not future.done():
                    future.set_exception(_given(error))
            if ended or isinstance(error, (KeyboardInterrupt, SystemExit)):
                raise
        else:
            for (_, future), answer in zip(batch, answers, strict=True):
                if not future.done():
                    future.set_result(answer)


def _given(error: BaseException) -> BaseException:
    """The error for callers: one that cannot end their tasks or the process."""
    if isinstance(error, Exception):
        return error
    given = RuntimeError(f"the call was ended by {type(error).__name__}")
    given.__cause__ = error
    return given
