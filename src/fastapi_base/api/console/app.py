"""Adds the console to an application."""

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response
from starlette.exceptions import HTTPException

from fastapi_base.api.console import (
    accounts,
    audit,
    flags,
    jobs,
    login,
    schedules,
    statistics,
    system,
)
from fastapi_base.api.console.operators import OperatorDep
from fastapi_base.api.console.site import ASSETS, Site, asset, redirect
from fastapi_base.api.dependencies.bounds import WithinBounds
from fastapi_base.api.dependencies.preconditions import FreshnessDep
from fastapi_base.api.deps import WritableUnlessReadOnly
from fastapi_base.core.config import Settings
from fastapi_base.services.jobs.schedules import Schedule

router = APIRouter(dependencies=[WithinBounds])


@router.get("")
@router.get("/")
async def read_start(request: Request, _: OperatorDep) -> Response:
    """The first page."""
    return redirect(request, "/accounts")


@router.get("/static/{name}")
async def read_asset(name: str, freshness: FreshnessDep) -> Response:
    """A file of the pages. Their links contain a digest of it, so browsers may keep it."""
    if name not in ASSETS:
        raise HTTPException(404)
    content, digest = asset(name)
    headers = {"ETag": f'"{digest}"', "Cache-Control": "public, max-age=86400"}
    if freshness.has(headers["ETag"]):
        return Response(status_code=304, headers=headers)
    return Response(content, media_type=ASSETS[name], headers=headers)


for _pages in (accounts, jobs, schedules, audit, statistics, system):
    router.include_router(_pages.router, dependencies=[WritableUnlessReadOnly])
# Login, logout and switching read-only off stay available.
router.include_router(login.router)
router.include_router(flags.router)


def install(app: FastAPI, settings: Settings, known: Sequence[Schedule[Any]]) -> None:
    """Serve the console at the path of the settings. `known` are the schedules that it shows."""
    app.state.console = Site(settings, known)
    app.include_router(router, prefix=settings.console.path, include_in_schema=False)
