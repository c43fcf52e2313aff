"""When something is due: by an interval, or by the clock of a time zone.

    every 15m                      s, m, h or d; counted from 1970-01-01 00:00 UTC
    30 2 * * *                     minute, hour, day, month, weekday, as cron has them; UTC
    30 2 * * MON Europe/Berlin     the same, in a time zone

Where clocks change, as Debian's cron has it (cron(8)): an hour that is skipped is made up for right
after it, once; one that comes twice counts once. Where minute or hour begins with a star the hours
that pass are counted, so that nothing is skipped and nothing waits for an hour more.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from fastapi_base.models.schedule import TEXT_LENGTH

SHORTEST = timedelta(seconds=1)
LONGEST = timedelta(days=366)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EVERY = re.compile(r"every (\d{1,9}(?:\.\d{1,3})?)([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_FIELDS = 5


class BadWhen(ValueError):
    """The text says no time. The message says what is wrong with it."""


class When(Protocol):
    """Moments, without end."""

    def after(self, moment: datetime) -> datetime:
        """The first one later than this, in the time zone that it is counted in."""


@dataclass(frozen=True, slots=True)
class Every:
    """All multiples of a step since the epoch: the same for whoever asks, and whenever."""

    step: timedelta

    def after(self, moment: datetime) -> datetime:
        """See When."""
        return _EPOCH + ((moment - _EPOCH) // self.step + 1) * self.step


@dataclass(frozen=True, slots=True)
class Cron:
    """Times of the clock on a wall."""

    fields: str
    zone: ZoneInfo

    def after(self, moment: datetime) -> datetime:
        """See When. Raises BadWhen when there is none in 50 years."""
        try:
            for found in CronSim(self.fields, moment.astimezone(self.zone)):
                # In the hour that comes a second time cronsim names times of the first.
                if found.astimezone(UTC) > moment:
                    return found
        except CronSimError as error:
            raise BadWhen(str(error).lower()) from None
        raise BadWhen("no day is such a day")


def parse(text: str) -> When:
    """What the text means. Raises BadWhen."""
    words = text.split()
    if len(text) > TEXT_LENGTH:
        raise BadWhen(f"longer than {TEXT_LENGTH} characters")
    if words[:1] == ["every"]:
        return _every(" ".join(words))
    if not _FIELDS <= len(words) <= _FIELDS + 1:
        raise BadWhen(
            'neither an interval ("every 15m") nor five fields and maybe a time zone'
            ' ("30 2 * * * Europe/Berlin")'
        )
    cron = Cron(" ".join(words[:_FIELDS]), _zone("".join(words[_FIELDS:]) or "UTC"))
    cron.after(_EPOCH)
    return cron


def _every(text: str) -> Every:
    found = _EVERY.fullmatch(text)
    if found is None:
        raise BadWhen('an interval is a number and s, m, h or d, as in "every 15m"')
    step = timedelta(**{_UNITS[found[2]]: float(found[1])})
    if not SHORTEST <= step <= LONGEST:
        raise BadWhen("an interval is between a second and 366 days")
    return Every(step)


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise BadWhen(f"no time zone has the name {name}") from None
