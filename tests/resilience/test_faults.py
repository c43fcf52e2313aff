"""Whatever is killed, flushed or restarted under load, each job takes effect once.

`make chaos` is the long version.
"""

from collections.abc import Iterator

import pytest

from ops.measure.chaos.faults import FAULTS, under
from ops.measure.chaos.stack import Stack

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with Stack(tmp_path_factory.mktemp("chaos"), relays=2, workers=2) as started:
        yield started


@pytest.mark.parametrize("fault", list(FAULTS))
async def test_each_job_takes_effect_once(stack: Stack, fault: str) -> None:
    outcome = await under(stack, fault, jobs=100, times=2)
    assert outcome.submitted >= 100
    assert outcome.well, outcome
