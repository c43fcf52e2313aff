"""The caller's API keys. A key cannot manage keys: these routes need a session."""

import uuid
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter

from fastapi_base.api.caching import HOLDS_SECRET
from fastapi_base.api.deps import CurrentUser, OriginDep, ResourcesDep, SessionDep
from fastapi_base.api.openapi import problems
from fastapi_base.api.paging import PAGE_HEADERS, PageRequest, pages
from fastapi_base.core.errors import (
    InsufficientScope,
    NotAuthenticated,
    NotFound,
    Overloaded,
    SessionNeeded,
    TooManyKeys,
    Unavailable,
)
from fastapi_base.schemas.api_key import ApiKeyCreate, ApiKeyCreated, ApiKeyRead, ApiKeyRotate
from fastapi_base.services import api_keys
from fastapi_base.utils.pagination import Page

router = APIRouter(prefix="/api-keys", tags=["api-keys"])
_ALL = (422, NotAuthenticated, SessionNeeded, Overloaded, Unavailable)


@router.post(
    "",
    dependencies=[HOLDS_SECRET],
    status_code=201,
    summary="Make an API key",
    description="For programs, as `Authorization: Bearer fb_...`. It may do what its scopes say,"
    " while its owner may.",
    response_description="The key, shown once",
    responses=problems(400, 413, *_ALL, InsufficientScope, TooManyKeys),
)
async def create_api_key(
    body: ApiKeyCreate,
    user: CurrentUser,
    session: SessionDep,
    origin: OriginDep,
) -> ApiKeyCreated:
    """Make a key."""
    return await api_keys.create(
        session,
        user,
        name=body.name,
        scopes=body.scopes,
        days=body.expires_in_days,
        origin=origin,
    )


@router.get(
    "",
    summary="List my API keys",
    description="Those that are neither revoked nor expired.",
    response_description="Some of the keys",
    responses={**PAGE_HEADERS, **problems(*_ALL)},
)
async def read_api_keys(
    user: CurrentUser,
    page: Annotated[PageRequest, pages(api_keys.LISTING)],
    resources: ResourcesDep,
) -> Page[ApiKeyRead]:
    """One page of the caller's keys."""
    async with resources.database.read() as connection:
        return page.reply(await api_keys.listed(connection, user.id, page.query))


@router.post(
    "/{key_id}/rotate",
    dependencies=[HOLDS_SECRET],
    status_code=201,
    summary="Replace an API key",
    description="Makes one with the same name and scopes. The old one stays good for a while, so"
    " that programs can be given the new one.",
    response_description="The new key, shown once",
    responses=problems(400, 413, *_ALL, NotFound, InsufficientScope),
)
async def rotate_api_key(
    key_id: uuid.UUID,
    body: ApiKeyRotate,
    user: CurrentUser,
    session: SessionDep,
    origin: OriginDep,
) -> ApiKeyCreated:
    """Replace a key."""
    return await api_keys.rotate(
        session,
        user,
        key_id,
        overlap=timedelta(seconds=body.overlap_seconds),
        days=body.expires_in_days,
        origin=origin,
    )


@router.delete(
    "/{key_id}",
    status_code=204,
    summary="Revoke an API key",
    description="It is refused from its next request on.",
    response_description="Revoked",
    responses=problems(*_ALL, NotFound),
)
async def revoke_api_key(
    key_id: uuid.UUID, user: CurrentUser, session: SessionDep, origin: OriginDep
) -> None:
    """End a key."""
    await api_keys.revoke(session, user.id, key_id, origin)
