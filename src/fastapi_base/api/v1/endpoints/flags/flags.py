"""Feature flags, for superusers."""

from typing import Annotated

from fastapi import APIRouter, Path

from fastapi_base.api.deps import CurrentSuperuser, OriginDep, ResourcesDep
from fastapi_base.api.openapi import problems
from fastapi_base.core.errors import (
    Forbidden,
    NotAuthenticated,
    NotFound,
    Overloaded,
    Unavailable,
    WrongFlagValue,
)
from fastapi_base.models.flags.flag import NAME_LENGTH
from fastapi_base.schemas.flags.flag import FlagRead, OverrideWrite

router = APIRouter(prefix="/feature-flags", tags=["feature-flags"])
Name = Annotated[str, Path(max_length=NAME_LENGTH, examples=["read-only"])]


@router.get(
    "",
    summary="List feature flags",
    description="Lists flags and overrides as the responding process sees them.",
    response_description="The flags",
    responses=problems(NotAuthenticated, Forbidden, Overloaded, Unavailable),
)
async def list_flags(_: CurrentSuperuser, resources: ResourcesDep) -> list[FlagRead]:
    """All flags."""
    return resources.flags.read()


@router.put(
    "/{name}",
    summary="Override a feature flag",
    description="Takes effect in every process within a second, or within some seconds while Redis"
    " is down. Replaces an earlier override.",
    response_description="The flag",
    responses=problems(
        NotAuthenticated,
        Forbidden,
        NotFound,
        WrongFlagValue,
        Overloaded,
        Unavailable,
    ),
)
async def override_flag(
    name: Name,
    body: OverrideWrite,
    user: CurrentSuperuser,
    resources: ResourcesDep,
    origin: OriginDep,
) -> FlagRead:
    """Override a flag."""
    return await resources.flags.override(name, body, actor=user.id, origin=origin)


@router.delete(
    "/{name}",
    status_code=204,
    summary="Reset a feature flag to its default",
    response_description="Reset",
    responses=problems(NotAuthenticated, Forbidden, NotFound, Overloaded, Unavailable),
)
async def reset_flag(
    name: Name, user: CurrentSuperuser, resources: ResourcesDep, origin: OriginDep
) -> None:
    """Remove the override."""
    await resources.flags.reset(name, actor=user.id, origin=origin)
