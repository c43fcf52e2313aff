"""Health endpoints, outside the versioned API since probers outlive versions."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request

from fastapi_base.api.deps import ResourcesDep
from fastapi_base.api.openapi import problems
from fastapi_base.core.errors import NotReady
from fastapi_base.schemas.health import Live, Ready, Started

router = APIRouter(prefix="/health", tags=["health"])


async def _details(request: Request, resources: ResourcesDep) -> bool:
    return resources.health.operator(request.headers.get("authorization", ""))


Details = Annotated[bool, Depends(_details)]


@router.get(
    "/live",
    summary="Is the process alive",
    description="Needs nothing but the process: restart it when this fails.",
    response_description="Alive",
)
async def read_live() -> Live:
    """Say that the process answers."""
    return Live()


@router.get(
    "/startup",
    summary="Has it started",
    description="Fails until the service was ready once. Leave the other probes until then.",
    response_description="Started",
    responses=problems(NotReady),
)
async def read_startup(resources: ResourcesDep, details: Details) -> Started:
    """Say whether the process was ready once."""
    return await resources.health.started(resources.database, resources.redis, details=details)


@router.get(
    "/ready",
    summary="Can it take requests",
    description="Asks PostgreSQL and Redis. Send no requests while this fails. Checks are shown to"
    " operators only.",
    response_description="Ready",
    responses=problems(NotReady),
)
async def read_ready(resources: ResourcesDep, details: Details) -> Ready:
    """Say whether PostgreSQL and Redis answer."""
    return await resources.health.ready(resources.database, resources.redis, details=details)
