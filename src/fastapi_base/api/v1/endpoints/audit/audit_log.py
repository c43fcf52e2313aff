"""The audit log, for superusers."""

from typing import Annotated

from fastapi import APIRouter, Depends

from fastapi_base.api.dependencies.paging import PAGE_HEADERS, PageRequest, pages
from fastapi_base.api.deps import AnyPrincipal, Requires, ResourcesDep
from fastapi_base.api.openapi import problems
from fastapi_base.core.errors import InsufficientScope, NotAuthenticated, Overloaded, Unavailable
from fastapi_base.core.security.scopes import Scope
from fastapi_base.schemas.audit.audit import AuditEventRead, AuditFilter
from fastapi_base.services.audit import audit_log
from fastapi_base.utils.pagination import Page

router = APIRouter(tags=["admin"])


@router.get(
    "/audit-events",
    summary="Read the audit log",
    description="Filters are combined with AND. `occurred_from` is inclusive, `occurred_before` is"
    " exclusive.",
    response_description="A page of events",
    responses={
        **PAGE_HEADERS,
        **problems(NotAuthenticated, InsufficientScope, Overloaded, Unavailable),
    },
)
async def list_audit_events(
    _: Annotated[AnyPrincipal, Requires(Scope.AUDIT_READ)],
    chosen: Annotated[AuditFilter, Depends()],
    page: Annotated[PageRequest, pages(audit_log.LISTING)],
    resources: ResourcesDep,
) -> Page[AuditEventRead]:
    """One page of events."""
    async with resources.database.read() as connection:
        return page.reply(await audit_log.listed(connection, chosen, page.query))
