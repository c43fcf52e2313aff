"""Health endpoints, outside the versioned API because probes outlive versions."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request

from fastapi_base.api.deps import ResourcesDep, bearer_token
from fastapi_base.api.openapi import OPERATOR_OR_NONE, problems
from fastapi_base.core.errors import NotReady
from fastapi_base.schemas.health.health import Live, Ready, Started

router = APIRouter(prefix="/health", tags=["health"])


async def _details(request: Request, resources: ResourcesDep) -> bool:
    return resources.health.operator(bearer_token(request.headers))


Details = Annotated[bool, Depends(_details)]


@router.get(
    "/live",
    summary="Check liveness",
    description="Depends only on the process. Restart the process when this fails.",
    response_description="Alive",
)
async def read_live() -> Live:
    """Report that the process responds."""
    return Live()


@router.get(
    "/startup",
    summary="Check startup",
    description="Fails until the process has been ready once. Start the other probes after that.",
    response_description="Started",
    openapi_extra=OPERATOR_OR_NONE,
    responses=problems(NotReady),
)
async def read_startup(resources: ResourcesDep, details: Details) -> Started:
    """Report whether the process has been ready once."""
    return await resources.health.started(resources.database, resources.redis, details=details)


@router.get(
    "/ready",
    summary="Check readiness",
    description="Checks PostgreSQL and Redis. Route no requests here while this fails. Only"
    " operators see the checks.",
    response_description="Ready",
    openapi_extra=OPERATOR_OR_NONE,
    responses=problems(NotReady),
)
async def read_ready(resources: ResourcesDep, details: Details) -> Ready:
    """Report whether PostgreSQL and Redis respond."""
    return await resources.health.ready(resources.database, resources.redis, details=details)
