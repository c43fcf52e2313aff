"""The audit log."""

from typing import Annotated

from fastapi import APIRouter, Request, Response
from pydantic import TypeAdapter

from fastapi_base.api.console.filters import chosen
from fastapi_base.api.console.operators import OperatorDep
from fastapi_base.api.console.site import neighbours, page
from fastapi_base.api.dependencies.paging import PageRequest, pages
from fastapi_base.api.deps import ResourcesDep
from fastapi_base.schemas.audit.audit import AuditFilter
from fastapi_base.services.audit import audit_log
from fastapi_base.services.audit.audit import Action
from fastapi_base.services.identity import overview

router = APIRouter()
_FILTER = TypeAdapter(AuditFilter)
_FIELDS = ("action", "actor_id", "subject_id", "occurred_from", "occurred_before")


@router.get("/audit")
async def list_events(
    request: Request,
    operator: OperatorDep,
    resources: ResourcesDep,
    asked: Annotated[PageRequest, pages(audit_log.LISTING)],
) -> Response:
    """One page of events, with the addresses of the accounts that still exist."""
    filters = chosen(request, _FILTER, *_FIELDS)
    async with resources.database.read() as connection:
        found = await audit_log.listed(connection, filters, asked.query)
        named = [who for event in found.items for who in (event.actor_id, event.subject_id)]
        emails = await overview.emails(connection, filter(None, named))
    return page(
        request,
        "audit.html",
        operator=operator,
        events=found.items,
        emails=emails,
        links=neighbours(request, found),
        actions=sorted(Action),
    )
