"""Health endpoints, outside the versioned API since probers outlive versions."""

from fastapi import APIRouter

from fastapi_base.api.deps import ResourcesDep
from fastapi_base.api.openapi import problems
from fastapi_base.core.errors import NotReady
from fastapi_base.schemas.health import Live, Ready
from fastapi_base.services import health

router = APIRouter(prefix="/health", tags=["health"])


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
    "/ready",
    summary="Can it take requests",
    description="Asks PostgreSQL and Redis. Send no requests while this fails.",
    response_description="Ready",
    responses=problems(NotReady),
)
async def read_ready(resources: ResourcesDep) -> Ready:
    """Say whether PostgreSQL and Redis answer."""
    return await health.ready(resources.database, resources.redis)
