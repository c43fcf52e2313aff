"""Recurring jobs: declared in code, next to the kind of job that they run."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from pydantic import BaseModel

from fastapi_base.services.jobs.kinds import Kind
from fastapi_base.services.jobs.when import When, parse

# A moment counts as missed if no Beat ran for this long.
GRACE = timedelta(seconds=60)
# The maximum number of missed moments that EACH catches up on.
CATCH_UP = 100
_BACK = timedelta(hours=1)
_INSTANT = timedelta(microseconds=1)


class Missed(StrEnum):
    """The policy for moments at which no Beat ran.

    SKIP drops them. ONCE runs once for all of them, for the last moment. EACH runs once for each,
    for the last CATCH_UP ones at most.
    """

    SKIP = "skip"
    ONCE = "once"
    EACH = "each"


@dataclass(frozen=True, slots=True)
class Schedule[P: BaseModel]:
    """A job that is enqueued at given times. The name is stored and must never change its meaning.

    services/jobs/when.py defines the syntax of `when`; operators may override it. `payload`
    receives the moment of the run in the schedule's time zone, so that a late run can still process
    its own day. While the previous job is unfinished no second one is added, except with EACH. A
    schedule without a kind is not a job but a bare task with its name: a heartbeat, which is not
    stored and is lost with the broker.
    """

    name: str
    kind: Kind[P] | None
    when: str
    payload: Callable[[datetime], P]
    missed: Missed = Missed.ONCE
    times: When = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "times", parse(self.when))


def due(when: When, first: datetime, now: datetime, missed: Missed) -> list[datetime]:
    """The moments to run for, among those from `first` (itself a moment) until now."""
    found = last(when, first, now, CATCH_UP if missed is Missed.EACH else 1)
    if missed is Missed.SKIP:
        return [moment for moment in found if now - moment <= GRACE]
    return found


def last(when: When, first: datetime, now: datetime, count: int) -> list[datetime]:
    """The last `count` of the moments from `first` until now."""
    # Search from near to far: an interval of a second has many moments in a year.
    back = _BACK
    while True:
        start = max(first, now - back)
        found: deque[datetime] = deque(maxlen=count)
        moment = when.after(start - _INSTANT)
        while moment <= now:
            found.append(moment)
            moment = when.after(moment)
        if len(found) == count or start == first:
            return list(found)
        back *= 8
