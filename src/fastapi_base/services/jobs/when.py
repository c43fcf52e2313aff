"""When something is due: at an interval, or by the wall clock of a time zone.

    every 15m                      s, m, h or d; counted from 1970-01-01 00:00 UTC
    30 2 * * *                     minute, hour, day, month, weekday, as cron has them; UTC
    30 2 * * MON Europe/Berlin     the same, in a time zone

Clock changes follow Debian's cron (cron(8)): a time in a skipped hour runs once right afterwards; a
time in a repeated hour runs once. If the minute or hour field begins with a star, elapsed hours
count, so that nothing is skipped or delayed by an hour.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from fastapi_base.models.jobs.schedule import TEXT_LENGTH

SHORTEST = timedelta(seconds=1)
LONGEST = timedelta(days=366)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EVERY = re.compile(r"every (\d{1,9}(?:\.\d{1,3})?)([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_FIELDS = 5


class BadWhen(ValueError):
    """The text is not a valid time. The message says why."""


class When(Protocol):
    """An infinite sequence of moments."""

    def after(self, moment: datetime) -> datetime:
        """The first moment after this one, in the sequence's own time zone."""


@dataclass(frozen=True, slots=True)
class Every:
    """All multiples of a step since the epoch: independent of when and where it is evaluated."""

    step: timedelta

    def after(self, moment: datetime) -> datetime:
        """See When."""
        return _EPOCH + ((moment - _EPOCH) // self.step + 1) * self.step


@dataclass(frozen=True, slots=True)
class Cron:
    """Times of the wall clock."""

    fields: str
    zone: ZoneInfo

    def after(self, moment: datetime) -> datetime:
        """See When. Raises BadWhen if there is none within 50 years."""
        try:
            for found in CronSim(self.fields, moment.astimezone(self.zone)):
                # In a repeated hour cronsim returns the times of its first occurrence.
                if found.astimezone(UTC) > moment:
                    return found
        except CronSimError as error:
            raise BadWhen(str(error).lower()) from None
        raise BadWhen("it never matches a date")


def parse(text: str) -> When:
    """Parse the text. Raises BadWhen."""
    words = text.split()
    if len(text) > TEXT_LENGTH:
        raise BadWhen(f"it must have at most {TEXT_LENGTH} characters")
    if words[:1] == ["every"]:
        return _every(" ".join(words))
    if not _FIELDS <= len(words) <= _FIELDS + 1:
        raise BadWhen(
            'it must be an interval ("every 15m") or five cron fields with an optional time zone'
            ' ("30 2 * * * Europe/Berlin")'
        )
    cron = Cron(" ".join(words[:_FIELDS]), _zone("".join(words[_FIELDS:]) or "UTC"))
    cron.after(_EPOCH)
    return cron


def _every(text: str) -> Every:
    found = _EVERY.fullmatch(text)
    if found is None:
        raise BadWhen('an interval must be a number and s, m, h or d, as in "every 15m"')
    step = timedelta(**{_UNITS[found[2]]: float(found[1])})
    if not SHORTEST <= step <= LONGEST:
        raise BadWhen("an interval must be between 1 second and 366 days")
    return Every(step)


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise BadWhen(f"the time zone {name} does not exist") from None
