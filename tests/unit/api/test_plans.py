"""Every route that can have a plan has one, unless plans are disabled."""

from collections.abc import Iterator

import fastapi
import httpx2
import pytest
import starlette
import structlog
from fastapi import (
    FastAPI,
)
from fastapi.routing import iter_route_contexts
from structlog.testing import capture_logs
from structlog.typing import EventDict

from fastapi_base.api.routing import dispatch
from fastapi_base.api.routing.dispatch import (
    TESTED_FASTAPI,
    TESTED_STARLETTE,
    planner,
)
from fastapi_base.api.routing.plans import NoPlan, Plan, plan
from fastapi_base.core.config import Settings
from tests.modes import plans_are_on, served_by_plans

pytestmark = pytest.mark.anyio


async def test_all_routes_except_forms_and_streams_have_plans(app: FastAPI) -> None:
    """If a new route fails here, one of its dependencies is a plain function, not a coroutine."""
    without = set()
    for context in iter_route_contexts(app.routes):
        if hasattr(context, "dependant"):
            try:
                Plan(context)
            except NoPlan:
                without.add(f"{min(context.methods or ())} {context.path}")
    assert without == {
        "POST /api/v1/auth/login",
        "GET /api/v1/items/export",  # slice: items
        "GET /api/v1/users/me/exports/{export_id}",
        "GET /api/v1/jobs/{job_id}/events",
    }


def test_plans_support_the_locked_versions() -> None:
    # After an upgrade of either: run the API tests, then name the new version there.
    assert fastapi.__version__ == TESTED_FASTAPI
    assert starlette.__version__ == TESTED_STARLETTE
    assert planner(enabled=True) is plan


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[EventDict]]:
    """What the module logs. A new logger, since one that was used before keeps its processors."""
    monkeypatch.setattr(dispatch, "log", structlog.stdlib.get_logger("dispatch"))
    with capture_logs() as lines:
        yield lines


def test_unsupported_fastapi_version_disables_plans(
    monkeypatch: pytest.MonkeyPatch, logged: list[EventDict]
) -> None:
    monkeypatch.setattr(dispatch, "TESTED_FASTAPI", "0.1.0")
    assert planner(enabled=True) is None
    (line,) = logged
    assert line["event"].startswith("routes are served without plans")
    assert line["reason"] == f"FastAPI {fastapi.__version__} is not the tested 0.1.0"


def test_unsupported_starlette_version_disables_plans(
    monkeypatch: pytest.MonkeyPatch, logged: list[EventDict]
) -> None:
    monkeypatch.setattr(dispatch, "TESTED_STARLETTE", "1.0.0")
    assert planner(enabled=True) is None
    assert logged[0]["reason"] == f"Starlette {starlette.__version__} is not the tested 1.0.0"


def test_setting_disables_plans(settings: Settings, logged: list[EventDict]) -> None:
    api = settings.api.model_copy(update={"plans": False})
    assert planner(enabled=api.plans) is None
    assert [(line["event"], line["reason"]) for line in logged] == [
        ("routes are served without plans", "API_PLANS is false")
    ]


async def test_test_run_uses_the_mode_of_its_environment(
    client: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await served_by_plans(client, monkeypatch) == plans_are_on()
