"""Questions that come at once are one call, and no question is answered too early."""

import asyncio
from collections.abc import Sequence

import pytest

from fastapi_base.utils.batching import Batcher

pytestmark = pytest.mark.anyio


class Oracle:
    """Answers when it is let, and knows what it was asked."""

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


async def test_questions_at_once_are_one_call_and_each_gets_its_own_answer() -> None:
    oracle = Oracle()
    batcher = Batcher(oracle.ask)
    assert await asyncio.gather(*(batcher.ask(n) for n in range(5))) == [0, 2, 4, 6, 8]
    assert oracle.calls == [[0, 1, 2, 3, 4]]


async def test_a_question_is_not_answered_by_a_call_that_began_before_it() -> None:
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


async def test_a_call_has_only_so_many_questions() -> None:
    oracle = Oracle()
    batcher = Batcher(oracle.ask, most=2)
    assert await asyncio.gather(*(batcher.ask(n) for n in range(5))) == [0, 2, 4, 6, 8]
    assert oracle.calls == [[0, 1], [2, 3], [4]]


async def test_who_asks_again_at_once_is_answered() -> None:
    batcher = Batcher(Oracle().ask)

    async def asks() -> list[int]:
        return [await batcher.ask(n) for n in range(12)]

    async with asyncio.timeout(5):
        assert await asyncio.gather(*(asks() for _ in range(3))) == [[*range(0, 24, 2)]] * 3


async def test_a_failure_is_for_all_in_the_call_and_for_nobody_else() -> None:
    batcher = Batcher(Oracle().ask, most=2)
    answers = await asyncio.gather(*(batcher.ask(n) for n in (1, 13, 3)), return_exceptions=True)
    assert [str(answer) for answer in answers] == ["unlucky", "unlucky", "6"]
    assert await batcher.ask(4) == 8


async def test_who_goes_away_takes_nothing_from_the_others() -> None:
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


async def test_the_end_of_the_loop_ends_those_who_wait() -> None:
    oracle = Oracle()
    batcher = Batcher(oracle.ask)
    oracle.may_answer.clear()
    waits = asyncio.create_task(batcher.ask(1))
    await oracle.asked.wait()
    for call in [*batcher._calls]:
        call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waits
