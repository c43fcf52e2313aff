"""The caller's API keys. A key cannot manage keys: these routes need a session."""

import uuid
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter

from fastapi_base.api.dependencies.caching import HOLDS_SECRET
from fastapi_base.api.dependencies.paging import PAGE_HEADERS, PageRequest, pages
from fastapi_base.api.deps import CurrentPrincipal, CurrentUser, OriginDep, ResourcesDep, SessionDep
from fastapi_base.api.openapi import problems
from fastapi_base.core.errors import (
    EmailNotVerified,
    InsufficientScope,
    NotAuthenticated,
    NotFound,
    Overloaded,
    SessionNeeded,
    TooManyKeys,
    Unavailable,
)
from fastapi_base.schemas.identity.api_key import (
    ApiKeyCreate,
    ApiKeyCreated,
    ApiKeyRead,
    ApiKeyRotate,
)
from fastapi_base.services.identity import api_keys
from fastapi_base.utils.pagination import Page

router = APIRouter(prefix="/api-keys", tags=["api-keys"])
_ALL = (NotAuthenticated, SessionNeeded, Overloaded, Unavailable)


@router.post(
    "",
    dependencies=[HOLDS_SECRET],
    status_code=201,
    summary="Create an API key",
    description="For programs, sent as `Authorization: Bearer fb_...`. A key has its scopes as long"
    " as its owner has them.",
    response_description="The key, shown once",
    responses=problems(*_ALL, InsufficientScope, TooManyKeys, EmailNotVerified),
)
async def create_api_key(
    body: ApiKeyCreate,
    principal: CurrentPrincipal,
    session: SessionDep,
    resources: ResourcesDep,
    origin: OriginDep,
) -> ApiKeyCreated:
    """Create a key."""
    return await api_keys.create(
        session,
        resources.auth,
        principal,
        name=body.name,
        scopes=body.scopes,
        days=body.expires_in_days,
        origin=origin,
    )


@router.get(
    "",
    summary="List my API keys",
    description="Lists keys that are neither revoked nor expired.",
    response_description="A page of keys",
    responses={**PAGE_HEADERS, **problems(*_ALL)},
)
async def list_api_keys(
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
    description="Creates a key with the same name and scopes. The old key stays valid for"
    " `overlap_seconds`, so that programs can switch over.",
    response_description="The new key, shown once",
    responses=problems(*_ALL, NotFound, InsufficientScope, TooManyKeys, EmailNotVerified),
)
async def rotate_api_key(
    key_id: uuid.UUID,
    body: ApiKeyRotate,
    principal: CurrentPrincipal,
    session: SessionDep,
    resources: ResourcesDep,
    origin: OriginDep,
) -> ApiKeyCreated:
    """Replace a key."""
    return await api_keys.rotate(
        session,
        resources.auth,
        principal,
        key_id,
        overlap=timedelta(seconds=body.overlap_seconds),
        days=body.expires_in_days,
        origin=origin,
    )


@router.delete(
    "/{key_id}",
    status_code=204,
    summary="Revoke an API key",
    description="The key is rejected from the next request on.",
    response_description="Revoked",
    responses=problems(*_ALL, NotFound),
)
async def revoke_api_key(
    key_id: uuid.UUID, user: CurrentUser, session: SessionDep, origin: OriginDep
) -> None:
    """Revoke a key."""
    await api_keys.revoke(session, user.id, key_id, origin)
