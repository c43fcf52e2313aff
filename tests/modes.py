"""The two modes in which the API is tested: with plans, and with FastAPI only (API_PLANS=false).

The tests of the API and its contract run in both: BUILD files have a second target for them,
`without_plans`. Nothing else differs, so a test that fails in only one mode has found a plan that
does not answer as FastAPI does.
"""

import os

import httpx2
import pytest
from starlette.types import Receive, Scope, Send

from fastapi_base.api.routing.plans import Plan


def plans_are_on() -> bool:
    """Whether this run uses plans."""
    return os.environ.get("API_PLANS", "true") == "true"


async def served_by_plans(client: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether a plan of the application answers a request that any plan can answer."""
    served: list[str] = []
    call = Plan.__call__

    async def noted(self: Plan, scope: Scope, receive: Receive, send: Send) -> None:
        served.append(scope["path"])
        await call(self, scope, receive, send)

    with monkeypatch.context() as patch:
        patch.setattr(Plan, "__call__", noted)
        assert (await client.get("/health/live")).status_code == 200
    return bool(served)
