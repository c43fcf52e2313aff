"""Points in time and days that clients send."""

from datetime import UTC, date, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BeforeValidator


def _written_out(value: Any) -> Any:
    # Pydantic also accepts numbers, as seconds since 1970.
    if isinstance(value, datetime) or (isinstance(value, str) and value[4:5] == "-"):
        return value
    raise ValueError("must look like 2026-01-31T12:00:00Z")


def _in_utc(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise ValueError("must be within the years 1 to 9999 in UTC") from None


def _day(value: Any) -> Any:
    # Pydantic also accepts numbers, and midnights.
    if type(value) is date or (isinstance(value, str) and value[4:5] == "-" and len(value) == 10):
        return value
    raise ValueError("must look like 2026-01-31")


Moment = Annotated[AwareDatetime, BeforeValidator(_written_out), AfterValidator(_in_utc)]
Day = Annotated[date, BeforeValidator(_day)]
