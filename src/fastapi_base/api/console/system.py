"""The state of the system: versions, servers, settings."""

from fastapi import APIRouter, Request, Response

from fastapi_base import VERSION
from fastapi_base.api.console.operators import OperatorDep
from fastapi_base.api.console.site import page
from fastapi_base.api.deps import ResourcesDep
from fastapi_base.core.config.console_shown import shown
from fastapi_base.core.errors import NotReady
from fastapi_base.schemas.health.health import Ready
from fastapi_base.services.health.revision import revision

router = APIRouter()


@router.get("/system")
async def read_system(request: Request, operator: OperatorDep, resources: ResourcesDep) -> Response:
    """Versions, the health of the servers, and all settings without secrets."""
    async with resources.database.read() as connection:
        applied = await revision(connection)
    health: Ready | None = None
    trouble = None
    try:
        health = await resources.health.ready(resources.database, resources.redis, details=True)
    except NotReady as error:
        trouble = error.detail
    return page(
        request,
        "system.html",
        operator=operator,
        version=VERSION,
        settings=sorted(shown(resources.settings), key=lambda one: one.source == "default"),
        environment=resources.settings.app.environment,
        digest=resources.settings.app.image_digest,
        revision=applied,
        health=health,
        trouble=trouble,
    )
