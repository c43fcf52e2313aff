"""The application of workers and Beat, with a schedule whose every moment counts.

`celery --app tests.integration.ticking beat`. Jobs of it need no worker to be counted.
"""

from datetime import datetime

from pydantic import BaseModel

from fastapi_base.services.jobs.kinds import Kind
from fastapi_base.services.jobs.schedules import Missed, Schedule
from fastapi_base.tasks import schedules
from fastapi_base.tasks.app import app

__all__ = ["TICK", "app"]


class Due(BaseModel):
    """Which moment a job is for."""

    due: datetime


TICK = Schedule("tick", Kind("tick", Due), "every 1s", lambda due: Due(due=due), Missed.EACH)
schedules.SCHEDULES += (TICK,)
