"""The application of workers and Beat, with a schedule whose every moment counts.

`celery --app tests.integration.ticking beat`. Its jobs need no worker to be counted.
"""

import os
import signal
from datetime import datetime

from pydantic import BaseModel

from fastapi_base.services.jobs.kinds import Kind
from fastapi_base.services.jobs.schedules import Missed, Schedule
from fastapi_base.tasks import schedules
from fastapi_base.tasks.app import app

__all__ = ["TICK", "app"]


class Due(BaseModel):
    """The moment that a job is for."""

    due: datetime


def tick(due: datetime) -> Due:
    """Build the payload; sends the signal TICKING_SIGNAL on the way, where that is set."""
    if number := os.environ.get("TICKING_SIGNAL"):
        signal.raise_signal(int(number))
    return Due(due=due)


TICK = Schedule("tick", Kind("tick", Due), "every 1s", tick, Missed.EACH)
schedules.SCHEDULES += (TICK,)
