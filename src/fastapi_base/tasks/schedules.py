"""The schedules that Beat fires. Each is declared next to its kind of job."""

from typing import Any

from fastapi_base.core.config import Settings
from fastapi_base.services.health import heartbeat
from fastapi_base.services.items.items import SCHEDULE as ITEMS  # slice: items
from fastapi_base.services.jobs.schedules import Schedule
from fastapi_base.services.privacy import purge
from fastapi_base.services.statistics import statistics  # slice: statistics

SCHEDULES: tuple[Schedule[Any], ...] = (
    purge.SCHEDULE,
    statistics.NIGHTLY,  # slice: statistics
    ITEMS,  # slice: items
)


def schedules(settings: Settings) -> tuple[Schedule[Any], ...]:
    """All schedules."""
    return heartbeat.schedule(settings), *SCHEDULES
