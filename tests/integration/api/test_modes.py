"""The mode in which these tests run (tests/modes.py)."""

import httpx2
import pytest

from tests.modes import plans_are_on, served_by_plans

pytestmark = pytest.mark.anyio


async def test_test_run_uses_the_mode_of_its_environment(
    client: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await served_by_plans(client, monkeypatch) == plans_are_on()
