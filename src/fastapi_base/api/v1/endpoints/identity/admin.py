"""Accounts and the audit log, for superusers."""

import uuid
from typing import Annotated

from fastapi import APIRouter, Depends, Response

from fastapi_base.api.deps import AnyPrincipal, OriginDep, Requires, ResourcesDep, SessionDep
from fastapi_base.api.openapi import problems
from fastapi_base.api.paging import PAGE_HEADERS, PageRequest, pages
from fastapi_base.core import passwords
from fastapi_base.core.errors import (
    EmailTaken,
    InsufficientScope,
    LastSuperuser,
    NotAuthenticated,
    NotFound,
    Overloaded,
    Unavailable,
    WeakPassword,
)
from fastapi_base.core.scopes import Scope
from fastapi_base.schemas.admin import (
    AuditEventRead,
    AuditFilter,
    SessionsEnded,
    UserCreate,
    UserFilter,
    UserPatch,
)
from fastapi_base.schemas.statistics import StatisticsRead
from fastapi_base.schemas.user import UserRead
from fastapi_base.services import admin, audit_log, statistics
from fastapi_base.utils.pagination import Page

router = APIRouter(tags=["admin"])
MayRead = Annotated[AnyPrincipal, Requires(Scope.USERS_READ)]
MayWrite = Annotated[AnyPrincipal, Requires(Scope.USERS_WRITE)]
# Paths say `:uuid`, so that /users/me is never taken for an account of that id.
_READ = (422, NotAuthenticated, InsufficientScope, Overloaded, Unavailable)
_WRITE = (*_READ, NotFound)


@router.get(
    "/users",
    summary="List accounts",
    description="Filters are joined by and; `email_prefix` is the beginning of the address,"
    " `created_from` is inclusive, `created_before` is not.",
    response_description="Some of the accounts",
    responses={**PAGE_HEADERS, **problems(*_READ)},
)
async def read_users(
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
    description="With a password, which its owner should change.",
    response_description="Added",
    responses=problems(400, 413, *_READ, EmailTaken, WeakPassword),
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
    passwords.check(body.password, body.email)
    password_hash = await resources.hasher.hash(body.password)
    added = await admin.create(
        session,
        email=body.email,
        password_hash=password_hash,
        display_name=body.display_name,
        is_superuser=body.is_superuser,
        actor=principal.user.id,
        origin=origin,
    )
    response.headers["Location"] = f"/api/v1/users/{added.id}"
    return added


@router.get(
    "/users/{user_id:uuid}",
    summary="Look at an account",
    description="By its id.",
    response_description="The account",
    responses=problems(*_WRITE),
)
async def read_user(user_id: uuid.UUID, _: MayRead, resources: ResourcesDep) -> UserRead:
    """One account."""
    async with resources.database.read() as connection:
        return await admin.get(connection, user_id)


@router.patch(
    "/users/{user_id:uuid}",
    summary="Change an account",
    description="Sets what is given and leaves the rest. The last active superuser stays one.",
    response_description="The account as it is now",
    responses=problems(400, 413, *_WRITE, LastSuperuser),
)
async def update_user(
    user_id: uuid.UUID,
    body: UserPatch,
    principal: MayWrite,
    session: SessionDep,
    origin: OriginDep,
) -> UserRead:
    """Change an account."""
    return await admin.change(session, user_id, body, actor=principal.user.id, origin=origin)


@router.delete(
    "/users/{user_id:uuid}",
    status_code=204,
    summary="Remove an account",
    description="With its sessions and API keys, for good. The audit log keeps what it did.",
    response_description="Removed",
    responses=problems(*_WRITE, LastSuperuser),
)
async def delete_user(
    user_id: uuid.UUID,
    principal: MayWrite,
    session: SessionDep,
    resources: ResourcesDep,
    origin: OriginDep,
) -> None:
    """Remove an account."""
    await admin.remove(session, resources.cache, user_id, actor=principal.user.id, origin=origin)


@router.post(
    "/users/{user_id:uuid}/deactivate",
    summary="Shut an account out",
    description="Ends its sessions, and stops its API keys, from the next request on.",
    response_description="The account as it is now",
    responses=problems(*_WRITE, LastSuperuser),
)
async def deactivate_user(
    user_id: uuid.UUID, principal: MayWrite, session: SessionDep, origin: OriginDep
) -> UserRead:
    """Shut an account out."""
    return await admin.set_active(session, user_id, False, actor=principal.user.id, origin=origin)


@router.post(
    "/users/{user_id:uuid}/activate",
    summary="Let an account in again",
    description="Its ended sessions stay ended.",
    response_description="The account as it is now",
    responses=problems(*_WRITE),
)
async def activate_user(
    user_id: uuid.UUID, principal: MayWrite, session: SessionDep, origin: OriginDep
) -> UserRead:
    """Let an account in again."""
    return await admin.set_active(session, user_id, True, actor=principal.user.id, origin=origin)


@router.delete(
    "/users/{user_id:uuid}/sessions",
    summary="End the sessions of an account",
    description="From their next request on, their tokens are refused.",
    response_description="Ended",
    responses=problems(*_WRITE),
)
async def delete_user_sessions(
    user_id: uuid.UUID, principal: MayWrite, session: SessionDep, origin: OriginDep
) -> SessionsEnded:
    """End all sessions of an account."""
    count = await admin.end_sessions(session, user_id, actor=principal.user.id, origin=origin)
    return SessionsEnded(count=count)


@router.get(
    "/audit-events",
    summary="Read the audit log",
    description="Filters are joined by and; `occurred_from` is inclusive, `occurred_before` not.",
    response_description="Some of the events",
    responses={**PAGE_HEADERS, **problems(*_READ)},
)
async def read_audit_events(
    _: Annotated[AnyPrincipal, Requires(Scope.AUDIT_READ)],
    chosen: Annotated[AuditFilter, Depends()],
    page: Annotated[PageRequest, pages(audit_log.LISTING)],
    resources: ResourcesDep,
) -> Page[AuditEventRead]:
    """One page of events."""
    async with resources.database.read() as connection:
        return page.reply(await audit_log.listed(connection, chosen, page.query))


@router.get(
    "/admin/statistics",
    summary="Read the figures of days",
    description="Days are those of UTC, the newest first; each is counted in the night after it.",
    response_description="Some of the days",
    responses={**PAGE_HEADERS, **problems(*_READ)},
)
async def read_statistics(
    _: Annotated[AnyPrincipal, Requires(Scope.STATISTICS_READ)],
    page: Annotated[PageRequest, pages(statistics.LISTING)],
    resources: ResourcesDep,
) -> Page[StatisticsRead]:
    """One page of days."""
    async with resources.database.read() as connection:
        return page.reply(await statistics.listed(connection, page.query))
