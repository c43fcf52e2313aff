"""What is done again and again: declared in code, beside the kind of job that does it."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from pydantic import BaseModel

from fastapi_base.services.jobs.kinds import Kind
from fastapi_base.services.jobs.when import When, parse

# A moment at which no Beat was there for so long counts as missed.
GRACE = timedelta(seconds=60)
# How many moments are made up for at most, where each of them is.
CATCH_UP = 100
_BACK = timedelta(hours=1)
_INSTANT = timedelta(microseconds=1)


class Missed(StrEnum):
    """What becomes of moments at which no Beat was there.

    SKIP leaves them out. ONCE has one run for all of them, which is for the last one. EACH has a
    run for each, the CATCH_UP last ones at most.
    """

    SKIP = "skip"
    ONCE = "once"
    EACH = "each"


@dataclass(frozen=True, slots=True)
class Schedule[P: BaseModel]:
    """A job that is enqueued at its times. The name is stored and never changes its meaning.

    `when` is read as services/jobs/when.py says; operators may override it. `payload` is given the
    moment that the run is for, in the schedule's time zone: a late run can still do the work of its
    own day. While the job before it waits or runs no second one is added, except where each moment
    counts. Without a kind it is no job but a bare task of its name: a sign of life, kept nowhere,
    and lost with the broker.
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
    """The moments to run for, of those from `first` (which is one) until now."""
    found = last(when, first, now, CATCH_UP if missed is Missed.EACH else 1)
    if missed is Missed.SKIP:
        return [moment for moment in found if now - moment <= GRACE]
    return found


def last(when: When, first: datetime, now: datetime, count: int) -> list[datetime]:
    """So many of the moments from `first` until now, the last ones."""
    # From near to far: an interval of a second has many moments in a year.
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
