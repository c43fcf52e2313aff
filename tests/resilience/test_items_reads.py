"""No item read is stale after a committed change, whatever happens to Redis and the APIs.

`make chaos` is the long version.
"""

from collections.abc import Iterator

import pytest

from ops.measure.chaos import items_reads
from ops.measure.chaos.stack import Stack

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with items_reads.started(tmp_path_factory.mktemp("chaos")) as started:
        yield started


@pytest.mark.parametrize("fault", list(items_reads.FAULTS))
async def test_no_read_is_stale(stack: Stack, fault: str) -> None:
    outcome = await items_reads.under(stack, fault, least=200, times=2)
    assert outcome.well, outcome
