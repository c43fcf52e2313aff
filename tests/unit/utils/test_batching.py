"""Concurrent requests are batched into one call, and no result is older than its request."""

import asyncio
from collections.abc import Sequence

import pytest

from fastapi_base.utils.batching import Batcher

pytestmark = pytest.mark.anyio


class Oracle:
    """Answers when a test lets it, and records its batches."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []
        self.asked = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def ask(self, questions: Sequence[int]) -> list[int]:
        self.calls.append(list(questions))
        self.asked.set()
        await self.may_answer.wait()
        if 13 in questions:
            raise ValueError("unlucky")
        return [question * 2 for question in questions]


async def test_concurrent_requests_share_a_call_and_get_their_own_results() -> None:
    oracle = Oracle()
    batcher = Batcher(oracle.ask)
    assert await asyncio.gather(*(batcher.ask(n) for n in range(5))) == [0, 2, 4, 6, 8]
    assert oracle.calls == [[0, 1, 2, 3, 4]]


async def test_request_is_not_answered_by_an_earlier_call() -> None:
    oracle = Oracle()
    batcher = Batcher(oracle.ask)
    oracle.may_answer.clear()
    first = asyncio.create_task(batcher.ask(1))
    await oracle.asked.wait()
    later = [asyncio.create_task(batcher.ask(n)) for n in (1, 2, 3)]
    await asyncio.sleep(0)
    assert oracle.calls == [[1]]
    oracle.may_answer.set()
    assert await asyncio.gather(first, *later) == [2, 2, 4, 6]
    assert oracle.calls == [[1], [1, 2, 3]]


async def test_batch_size_is_bounded() -> None:
    oracle = Oracle()
    batcher = Batcher(oracle.ask, most=2)
    assert await asyncio.gather(*(batcher.ask(n) for n in range(5))) == [0, 2, 4, 6, 8]
    assert oracle.calls == [[0, 1], [2, 3], [4]]


async def test_immediate_second_request_is_answered() -> None:
    batcher = Batcher(Oracle().ask)

    async def asks() -> list[int]:
        return [await batcher.ask(n) for n in range(12)]

    async with asyncio.timeout(5):
        assert await asyncio.gather(*(asks() for _ in range(3))) == [[*range(0, 24, 2)]] * 3


async def test_failure_reaches_exactly_the_requests_of_its_batch() -> None:
    batcher = Batcher(Oracle().ask, most=2)
    answers = await asyncio.gather(*(batcher.ask(n) for n in (1, 13, 3)), return_exceptions=True)
    assert [str(answer) for answer in answers] == ["unlucky", "unlucky", "6"]
    assert await batcher.ask(4) == 8


async def test_cancelled_request_does_not_affect_the_others() -> None:
    oracle = Oracle()
    batcher = Batcher(oracle.ask)
    oracle.may_answer.clear()
    gone, stays = (asyncio.create_task(batcher.ask(n)) for n in (1, 2))
    await oracle.asked.wait()
    gone.cancel()
    oracle.may_answer.set()
    assert await stays == 4
    with pytest.raises(asyncio.CancelledError):
        await gone


async def test_closing_the_loop_cancels_waiting_requests() -> None:
    oracle = Oracle()
    batcher = Batcher(oracle.ask)
    oracle.may_answer.clear()
    waits = asyncio.create_task(batcher.ask(1))
    await oracle.asked.wait()
    for call in [*batcher._calls]:
        call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waits


@pytest.mark.parametrize("answers", [[], [2], [2, 4, 6]], ids=["none", "fewer", "more"])
async def test_wrong_number_of_results_fails_the_batch(
    answers: list[int],
) -> None:
    async def ask(questions: Sequence[int]) -> list[int]:
        return answers if len(questions) == 2 else [0] * len(questions)

    batcher = Batcher(ask, most=2)
    async with asyncio.timeout(5):
        found = await asyncio.gather(*(batcher.ask(n) for n in (1, 2, 3)), return_exceptions=True)
    assert [type(answer) for answer in found] == [RuntimeError, RuntimeError, int]


async def test_cancelled_call_fails_its_batch_and_the_next_one_runs() -> None:
    async def ask(questions: Sequence[int]) -> list[int]:
        if 13 in questions:
            inner = asyncio.create_task(asyncio.sleep(60))
            asyncio.get_running_loop().call_soon(inner.cancel)
            await inner
        return [question * 2 for question in questions]

    batcher = Batcher(ask, most=1)
    async with asyncio.timeout(5):
        found = await asyncio.gather(*(batcher.ask(n) for n in (13, 4)), return_exceptions=True)
    assert [type(answer) for answer in found] == [RuntimeError, int]


async def test_closing_the_loop_cancels_unbatched_requests() -> None:
    oracle = Oracle()
    batcher = Batcher(oracle.ask)
    oracle.may_answer.clear()
    waits = [asyncio.create_task(batcher.ask(n)) for n in (1, 2)]
    await oracle.asked.wait()
    waits.append(asyncio.create_task(batcher.ask(3)))
    await asyncio.sleep(0)
    for call in [*batcher._calls]:
        call.cancel()
    async with asyncio.timeout(5):
        found = await asyncio.gather(*waits, return_exceptions=True)
    assert [type(answer) for answer in found] == [asyncio.CancelledError] * 3
