"""Time limits are distinguished from timeouts of the work itself."""

import asyncio

import pytest

from fastapi_base.utils.timeouts import occurs, time_limit

pytestmark = pytest.mark.anyio


class Late(Exception):
    """The time limit expired."""


async def test_work_beyond_the_limit_is_late() -> None:
    with pytest.raises(Late) as raised:
        async with time_limit(0.01, Late()):
            await asyncio.Event().wait()
    assert isinstance(raised.value.__cause__, TimeoutError)


async def test_timeout_raised_by_the_work_propagates() -> None:
    with pytest.raises(TimeoutError, match="of its own"):
        async with time_limit(60, Late()):
            raise TimeoutError("of its own")


async def test_event_occurs_within_the_limit_or_not() -> None:
    event = asyncio.Event()
    assert await occurs(event, 0.01) is False
    asyncio.get_running_loop().call_later(0.01, event.set)
    assert await occurs(event, 60) is True
    assert await occurs(event, 0) is True
