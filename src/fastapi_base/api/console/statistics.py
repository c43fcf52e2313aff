"""Daily statistics, as charts and as a table."""

from collections.abc import Sequence
from dataclasses import dataclass

from fastapi import APIRouter, Request, Response

from fastapi_base.api.console.operators import OperatorDep
from fastapi_base.api.console.site import page
from fastapi_base.api.deps import ResourcesDep
from fastapi_base.schemas.statistics.statistics import StatisticsRead
from fastapi_base.services.statistics import statistics
from fastapi_base.utils.pagination import PageQuery

router = APIRouter()
DAYS = 30


@dataclass(frozen=True, slots=True)
class Chart:
    """A figure over time, oldest day first. `bars` are heights of 0 to 100."""

    name: str
    days: list[StatisticsRead]
    values: list[int]
    bars: list[float]

    @property
    def most(self) -> int:
        """The greatest value."""
        return max(self.values)


@router.get("/statistics")
async def read_statistics(
    request: Request, operator: OperatorDep, resources: ResourcesDep
) -> Response:
    """The figures of the last days."""
    query = PageQuery(statistics.LISTING, resources.cursors, DAYS)
    async with resources.database.read() as connection:
        found = await statistics.listed(connection, query)
    return page(
        request,
        "statistics.html",
        operator=operator,
        days=found.items,
        charts=charts(found.items),
    )


def charts(newest_first: Sequence[StatisticsRead]) -> list[Chart]:
    """A chart for each figure of any of these days."""
    days = list(reversed(newest_first))
    found = []
    for name in dict.fromkeys(name for day in newest_first for name in day.figures):
        values = [day.figures.get(name, 0) for day in days]
        most = max(*values, 1) if len(values) > 1 else max(values[0], 1)
        found.append(Chart(name, days, values, [100 * value / most for value in values]))
    return found
