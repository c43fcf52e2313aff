"""Accounts, for superusers."""

import uuid
from typing import Annotated

from fastapi import APIRouter, Depends, Response

from fastapi_base.api.dependencies.paging import PAGE_HEADERS, PageRequest, pages
from fastapi_base.api.deps import AnyPrincipal, OriginDep, Requires, ResourcesDep, SessionDep
from fastapi_base.api.openapi import problems
from fastapi_base.core.errors import (
    EmailTaken,
    Forbidden,
    InsufficientScope,
    LastSuperuser,
    NotAuthenticated,
    NotFound,
    Overloaded,
    SessionNeeded,
    Unavailable,
    WeakPassword,
)
from fastapi_base.core.security.scopes import Scope
from fastapi_base.schemas.identity.admin import SessionsEnded, UserCreate, UserFilter, UserPatch
from fastapi_base.schemas.identity.user import UserRead
from fastapi_base.services.identity import admin, users
from fastapi_base.services.identity.api_keys import KeyPrincipal
from fastapi_base.utils.pagination import Page

router = APIRouter(tags=["admin"])
MayRead = Annotated[AnyPrincipal, Requires(Scope.USERS_READ)]
MayWrite = Annotated[AnyPrincipal, Requires(Scope.USERS_WRITE)]
# Paths use `:uuid`, so that /users/me never matches an account id.
_READ = (NotAuthenticated, InsufficientScope, Overloaded, Unavailable)
# API keys cannot act on superusers, see services/identity/admin.py.
_WRITE = (*_READ, NotFound, SessionNeeded, Forbidden)


def _actor(principal: AnyPrincipal) -> admin.Actor:
    return admin.Actor(principal.user.id, by_key=isinstance(principal, KeyPrincipal))


@router.get(
    "/users",
    summary="List accounts",
    description="Filters are combined with AND. `email_prefix` matches the start of the address;"
    " `created_from` is inclusive, `created_before` is exclusive.",
    response_description="A page of accounts",
    responses={**PAGE_HEADERS, **problems(*_READ)},
)
async def list_users(
    _: MayRead,
    chosen: Annotated[UserFilter, Depends()],
    page: Annotated[PageRequest, pages(admin.LISTING)],
    resources: ResourcesDep,
) -> Page[UserRead]:
    """One page of accounts."""
    async with resources.database.read() as connection:
        return page.reply(await admin.listed(connection, chosen, page.query))


@router.post(
    "/users",
    status_code=201,
    summary="Add an account",
    description="The owner should change the password. Called from a session, it marks the address"
    " as verified; called with an API key, it does not, and cannot create superusers.",
    response_description="The new account",
    responses=problems(*_READ, EmailTaken, WeakPassword, SessionNeeded, Forbidden),
)
async def create_user(
    body: UserCreate,
    principal: MayWrite,
    session: SessionDep,
    resources: ResourcesDep,
    origin: OriginDep,
    response: Response,
) -> UserRead:
    """Add an account."""
    added = await admin.create(
        session,
        resources.hasher,
        email=body.email,
        password=body.password,
        display_name=body.display_name,
        is_superuser=body.is_superuser,
        actor=_actor(principal),
        origin=origin,
    )
    response.headers["Location"] = f"/api/v1/users/{added.id}"
    return added


@router.get(
    "/users/{user_id:uuid}",
    summary="Read an account",
    description="Returns one account by id.",
    response_description="The account",
    responses=problems(*_READ, NotFound),
)
async def read_user(user_id: uuid.UUID, _: MayRead, resources: ResourcesDep) -> UserRead:
    """One account."""
    async with resources.database.read() as connection:
        return await users.get(connection, user_id)


@router.patch(
    "/users/{user_id:uuid}",
    summary="Change an account",
    description="Changes only the members sent. The last active superuser cannot be demoted. API"
    " keys can neither change nor create superusers.",
    response_description="The updated account",
    responses=problems(*_WRITE, LastSuperuser),
)
async def update_user(
    user_id: uuid.UUID,
    body: UserPatch,
    principal: MayWrite,
    session: SessionDep,
    origin: OriginDep,
) -> UserRead:
    """Change an account."""
    return await admin.change(session, user_id, body, actor=_actor(principal), origin=origin)


@router.delete(
    "/users/{user_id:uuid}",
    status_code=204,
    summary="Remove an account",
    description="Permanently removes the account with its sessions and API keys. Its audit events"
    " are kept.",
    response_description="Removed",
    responses=problems(*_WRITE, LastSuperuser),
)
async def delete_user(
    user_id: uuid.UUID,
    principal: MayWrite,
    session: SessionDep,
    origin: OriginDep,
) -> None:
    """Remove an account."""
    await admin.remove(session, user_id, actor=_actor(principal), origin=origin)


@router.post(
    "/users/{user_id:uuid}/deactivate",
    summary="Deactivate an account",
    description="Permanently ends its sessions and revokes its API keys, from the next request on.",
    response_description="The updated account",
    responses=problems(*_WRITE, LastSuperuser),
)
async def deactivate_user(
    user_id: uuid.UUID, principal: MayWrite, session: SessionDep, origin: OriginDep
) -> UserRead:
    """Deactivate an account."""
    return await admin.set_active(session, user_id, False, actor=_actor(principal), origin=origin)


@router.post(
    "/users/{user_id:uuid}/activate",
    summary="Reactivate an account",
    description="Ended sessions and revoked API keys are not restored.",
    response_description="The updated account",
    responses=problems(*_WRITE),
)
async def activate_user(
    user_id: uuid.UUID, principal: MayWrite, session: SessionDep, origin: OriginDep
) -> UserRead:
    """Reactivate an account."""
    return await admin.set_active(session, user_id, True, actor=_actor(principal), origin=origin)


@router.delete(
    "/users/{user_id:uuid}/sessions",
    summary="End the sessions of an account",
    description="Their tokens are rejected from the next request on. API keys cannot do this.",
    response_description="Ended",
    responses=problems(*_WRITE),
)
async def delete_user_sessions(
    user_id: uuid.UUID, principal: MayWrite, session: SessionDep, origin: OriginDep
) -> SessionsEnded:
    """End all sessions of an account."""
    count = await admin.end_sessions(session, user_id, actor=_actor(principal), origin=origin)
    return SessionsEnded(count=count)
