"""Daily statistics, for superusers."""

from typing import Annotated

from fastapi import APIRouter

from fastapi_base.api.dependencies.paging import PAGE_HEADERS, PageRequest, pages
from fastapi_base.api.deps import AnyPrincipal, Requires, ResourcesDep
from fastapi_base.api.openapi import problems
from fastapi_base.core.errors import InsufficientScope, NotAuthenticated, Overloaded, Unavailable
from fastapi_base.core.security.scopes import Scope
from fastapi_base.schemas.statistics.statistics import StatisticsRead
from fastapi_base.services.statistics import statistics
from fastapi_base.utils.pagination import Page

router = APIRouter(tags=["admin"])


@router.get(
    "/admin/statistics",
    summary="Read daily statistics",
    description="Days are in UTC, newest first. Each is computed in the following night.",
    response_description="A page of days",
    responses={
        **PAGE_HEADERS,
        **problems(NotAuthenticated, InsufficientScope, Overloaded, Unavailable),
    },
)
async def list_statistics(
    _: Annotated[AnyPrincipal, Requires(Scope.STATISTICS_READ)],
    page: Annotated[PageRequest, pages(statistics.LISTING)],
    resources: ResourcesDep,
) -> Page[StatisticsRead]:
    """One page of days."""
    async with resources.database.read() as connection:
        return page.reply(await statistics.listed(connection, page.query))
