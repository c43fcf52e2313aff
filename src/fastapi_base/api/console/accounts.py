"""Accounts: search, profiles, and what a superuser may do to them."""

import uuid
from typing import Annotated, Literal

from fastapi import APIRouter, Request, Response
from pydantic import TypeAdapter

from fastapi_base.api.console.filters import chosen
from fastapi_base.api.console.operators import ActingRecentDep, OperatorDep, RecentDep
from fastapi_base.api.console.site import neighbours, page, redirect
from fastapi_base.api.dependencies.paging import PageRequest, pages
from fastapi_base.api.deps import OriginDep, ResourcesDep, SessionDep
from fastapi_base.api.resources import Resources
from fastapi_base.schemas.audit.audit import AuditFilter
from fastapi_base.schemas.identity.admin import UserFilter
from fastapi_base.schemas.jobs.job import JobFilter
from fastapi_base.services.audit import audit_log
from fastapi_base.services.identity import admin, api_keys, overview, sessions, users
from fastapi_base.services.jobs import queries
from fastapi_base.utils.pagination import Listing, PageQuery

router = APIRouter()
Action = Literal["deactivate", "activate", "end-sessions", "reset-password"]
_FILTER = TypeAdapter(UserFilter)
_FIELDS = ("email_prefix", "is_active", "is_superuser", "created_from", "created_before")
# Entries of each list on a profile; each links to the whole list.
_FEW = 10


@router.get("/accounts")
async def list_accounts(
    request: Request,
    operator: OperatorDep,
    resources: ResourcesDep,
    asked: Annotated[PageRequest, pages(admin.LISTING)],
) -> Response:
    """One page of accounts, or the account whose whole id was searched for."""
    searched = request.query_params.get("email_prefix", "").strip()
    if found := _id(searched):
        return redirect(request, f"/accounts/{found}")
    filters = chosen(request, _FILTER, *_FIELDS)
    async with resources.database.read() as connection:
        found_page = await admin.listed(connection, filters, asked.query)
    return page(
        request,
        "accounts.html",
        operator=operator,
        accounts=found_page.items,
        links=neighbours(request, found_page),
    )


def _id(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None


@router.get("/accounts/{user_id:uuid}")
async def read_account(
    request: Request, user_id: uuid.UUID, operator: OperatorDep, resources: ResourcesDep
) -> Response:
    """An account with what its owner has set up, and its latest events and jobs."""
    audited = AuditFilter(subject_id=user_id)
    async with resources.database.read() as connection:
        account = await overview.of(connection, user_id)
        mine = operator.principal.session_id
        active = await sessions.active(connection, user_id, mine)
        keys = await api_keys.listed(connection, user_id, _first(resources, api_keys.LISTING))
        events = await audit_log.listed(connection, audited, _first(resources, audit_log.LISTING))
        actors = await overview.emails(
            connection, (event.actor_id for event in events.items if event.actor_id)
        )
    jobs = await queries.listed(
        resources.database, user_id, JobFilter(), _first(resources, queries.LISTING)
    )
    return page(
        request,
        "account.html",
        operator=operator,
        account=account,
        sessions=active,
        keys=keys,
        events=events,
        emails=actors,
        jobs=jobs,
    )


def _first(resources: Resources, listing: Listing) -> PageQuery:
    return PageQuery(listing, resources.cursors, _FEW)


@router.get("/accounts/{user_id:uuid}/{action}")
async def confirm_action(
    request: Request,
    user_id: uuid.UUID,
    action: Action,
    operator: RecentDep,
    resources: ResourcesDep,
) -> Response:
    """The page that asks whether to do this to an account."""
    async with resources.database.read() as connection:
        account = await users.get(connection, user_id)
    return page(request, "account_action.html", operator=operator, account=account, action=action)


@router.post("/accounts/{user_id:uuid}/{action}")
async def act(
    request: Request,
    user_id: uuid.UUID,
    action: Action,
    operator: ActingRecentDep,
    session: SessionDep,
    resources: ResourcesDep,
    origin: OriginDep,
) -> Response:
    """Do this to an account."""
    by = operator.actor
    match action:
        case "end-sessions":
            await admin.end_sessions(session, user_id, actor=by, origin=origin)
        case "reset-password":
            await admin.send_reset(session, resources.mailer, user_id, actor=by, origin=origin)
        case _:
            active = action == "activate"
            await admin.set_active(session, user_id, active, actor=by, origin=origin)
    return redirect(request, f"/accounts/{user_id}", done=action)
