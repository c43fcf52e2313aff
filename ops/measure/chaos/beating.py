"""Beat with schedules whose every moment counts, for `beat --scheduler`."""

from datetime import datetime
from typing import Any

from fastapi_base.services.jobs.schedules import Missed, Schedule
from fastapi_base.tasks import beat
from ops.measure.chaos.effects import TICK, Tick

SCHEDULES = 10


def _schedule(number: int) -> Schedule[Tick]:
    def tick(due: datetime) -> Tick:
        return Tick(schedule=number, due=due)

    return Schedule(f"chaos-{number}", TICK, "every 1s", tick, missed=Missed.EACH)


class Scheduler(beat.Scheduler):
    """Uses only these schedules."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._schedules = tuple(_schedule(number) for number in range(SCHEDULES))
