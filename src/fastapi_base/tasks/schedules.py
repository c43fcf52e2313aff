"""What Beat has done at which times. Each schedule stands beside the kind of job that it is of."""

from typing import Any

from fastapi_base.core.config import Settings
from fastapi_base.services import heartbeat, purge, statistics
from fastapi_base.services.items import SCHEDULE as ITEMS  # slice: items
from fastapi_base.services.jobs.schedules import Schedule

SCHEDULES: tuple[Schedule[Any], ...] = (
    purge.SCHEDULE,
    statistics.NIGHTLY,
    ITEMS,  # slice: items
)


def schedules(settings: Settings) -> tuple[Schedule[Any], ...]:
    """All of them."""
    return heartbeat.schedule(settings), *SCHEDULES
