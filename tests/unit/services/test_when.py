"""When schedules are due: intervals in UTC, and daylight saving time."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastapi_base.services.jobs.schedules import CATCH_UP, GRACE, Missed, due, last
from fastapi_base.services.jobs.when import BadWhen, parse

BERLIN = ZoneInfo("Europe/Berlin")


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def moments(text: str, begin: str, end: str) -> list[str]:
    """The moments after `begin` and up to `end`, in UTC, as PostgreSQL would store them."""
    times, moment, found = parse(text), utc(begin), []
    while (moment := times.after(moment)) <= utc(end):
        assert moment.tzinfo is not None
        # As from the database: without the time zone in which it was computed.
        moment = moment.astimezone(UTC)
        found.append(f"{moment:%m-%d %H:%M}")
    return found


def test_intervals_are_counted_in_utc_from_the_epoch() -> None:
    assert moments("every 6h", "2026-03-28T20:00", "2026-03-29T12:00") == [
        "03-29 00:00",
        "03-29 06:00",
        "03-29 12:00",
    ]
    assert parse("every 1.5s").after(utc("2026-01-01T00:00:01")) == utc("2026-01-01T00:00:01.5")
    # The same moment, whoever computes it and whenever.
    early, late = utc("2026-01-01T00:07:03.25"), utc("2026-01-01T00:14:59.999999")
    assert parse("every 15m").after(early) == parse("every 15m").after(late)


def test_cron_without_a_zone_is_in_utc() -> None:
    assert moments("30 2 * * *", "2026-03-28T02:30", "2026-03-30T12:00") == [
        "03-29 02:30",
        "03-30 02:30",
    ]


def test_cron_supports_names_last_days_and_either_day_field() -> None:
    year = ("2026-01-01T00:00", "2026-03-01T00:00")
    assert moments("0 9 * * mon#1", *year) == ["01-05 09:00", "02-02 09:00"]
    assert moments("0 9 L * *", *year) == ["01-31 09:00", "02-28 09:00"]
    # As in cron: the 13th, and Fridays.
    assert moments("0 9 13 * FRI", "2026-01-10T00:00", "2026-01-24T00:00") == [
        "01-13 09:00",
        "01-16 09:00",
        "01-23 09:00",
    ]


def test_skipped_local_time_is_due_right_after_the_gap() -> None:
    # 2026-03-29 in Berlin: after 01:59 comes 03:00, which is 01:00 UTC.
    night = ("2026-03-27T12:00", "2026-03-30T12:00")
    assert moments("30 2 * * * Europe/Berlin", *night) == [
        "03-28 01:30",
        "03-29 01:00",
        "03-30 00:30",
    ]
    # Once, even if the gap contains several due times or the next one follows immediately.
    assert moments("0,30 2 * * * Europe/Berlin", *night)[2:4] == ["03-29 01:00", "03-30 00:00"]
    assert moments("0 2,3 * * * Europe/Berlin", *night)[2:4] == ["03-29 01:00", "03-30 00:00"]


def test_repeated_local_time_is_due_once() -> None:
    # 2026-10-25 in Berlin: 02:00 to 02:59 is at 00:00 UTC, and again at 01:00 UTC.
    day = ("2026-10-24T12:00", "2026-10-26T12:00")
    assert moments("30 2 * * * Europe/Berlin", *day) == ["10-25 00:30", "10-26 01:30"]
    assert moments("0,30 2 * * * Europe/Berlin", *day) == [
        "10-25 00:00",
        "10-25 00:30",
        "10-26 01:00",
        "10-26 01:30",
    ]
    # Also when computed in the second of the two hours.
    second = parse("30 2 * * * Europe/Berlin").after(utc("2026-10-25T01:10"))
    assert second == datetime(2026, 10, 26, 2, 30, tzinfo=BERLIN)


def test_wildcard_hour_counts_elapsed_hours() -> None:
    spring = moments("15 * * * * Europe/Berlin", "2026-03-28T23:30", "2026-03-29T02:30")
    assert spring == ["03-29 00:15", "03-29 01:15", "03-29 02:15"]
    autumn = moments("15 * * * * Europe/Berlin", "2026-10-24T23:30", "2026-10-25T02:30")
    assert autumn == ["10-25 00:15", "10-25 01:15", "10-25 02:15"]


def test_skipped_midnight_is_due_after_the_gap() -> None:
    # 2026-03-29 in Beirut begins at 01:00, which is 2026-03-28 22:00 UTC.
    night = ("2026-03-28T00:00", "2026-03-30T00:00")
    assert moments("0 0 * * * Asia/Beirut", *night) == ["03-28 22:00", "03-29 21:00"]


@given(
    st.sampled_from(
        ["0 2 * * *", "*/20 2 * * *", "59 1 * * *", "0 3 * * *", "10 */2 * * *", "5,35 1-3 * * *"]
    ),
    st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Beirut"]),
    st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31)),
)
def test_next_moment_is_consistent(fields: str, zone: str, begin: datetime) -> None:
    times, moment = parse(f"{fields} {zone}"), begin.replace(tzinfo=UTC)
    found = [moment]
    for _ in range(12):
        found.append(times.after(found[-1]).astimezone(UTC))
    assert all(one < other for one, other in pairwise(found))
    # From any moment in between, the next moment is the same: none is skipped or doubled.
    for one, other in pairwise(found[1:]):
        assert times.after(one + (other - one) / 2).astimezone(UTC) == other
        assert times.after(other - timedelta(microseconds=1)).astimezone(UTC) == other


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "must be an interval"),
        ("every", "an interval must be a number"),
        ("every day", "an interval must be a number"),
        ("every 15 m", "an interval must be a number"),
        ("every 0s", "between 1 second and 366 days"),
        ("every 0.1s", "between 1 second and 366 days"),
        ("every 999999999d", "between 1 second and 366 days"),
        ("* * * *", "must be an interval"),
        ("0 0 3 * * * *", "must be an interval"),
        ("61 * * * *", "bad minute"),
        ("0 24 * * *", "bad hour"),
        ("0 0 * * FUN", "bad day-of-week"),
        ("0 0 30 2 *", "bad day-of-month"),
        ("0 0 * 2 1#6", "bad day-of-week"),
        ("0 3 * * * Europe/Nowhere", "the time zone Europe/Nowhere does not exist"),
        ("0 3 * * * Europe", "the time zone Europe does not exist"),
        ("0 3 * * * ../etc/passwd", "the time zone ../etc/passwd does not exist"),
        ("0 3 * * *" + ",1" * 100, "at most 200 characters"),
    ],
)
def test_invalid_schedule_is_refused_with_the_reason(text: str, why: str) -> None:
    with pytest.raises(BadWhen, match=why):
        parse(text)


def test_missed_moments_follow_the_catch_up_policy() -> None:
    times, first = parse("every 1h"), utc("2026-01-01T01:00")
    now = utc("2026-01-01T03:30")
    assert due(times, first, now, Missed.SKIP) == []
    assert due(times, first, now, Missed.ONCE) == [utc("2026-01-01T03:00")]
    assert due(times, first, now, Missed.EACH) == [utc(f"2026-01-01T0{n}:00") for n in (1, 2, 3)]
    # A moment that is barely late is not missed.
    assert due(times, first, first + GRACE, Missed.SKIP) == [first]
    assert due(times, first, first + GRACE + timedelta(seconds=1), Missed.SKIP) == []


@pytest.mark.parametrize("text", ["every 1s", "* * * * *", "0 4 * * MON Europe/Berlin"])
def test_latest_moments_are_found_after_years(text: str) -> None:
    times, now = parse(text), utc("2026-06-01T12:34:56.789")
    first = times.after(utc("2020-01-01T00:00"))
    found = last(times, first, now, CATCH_UP)
    assert len(found) == CATCH_UP
    assert found[-1] <= now < times.after(found[-1])
    assert all(times.after(one) == other for one, other in pairwise(found))


def test_moment_before_first_is_not_due() -> None:
    times, first = parse("every 1m"), utc("2026-01-01T00:10")
    assert last(times, first, utc("2026-01-01T00:11:30"), 50) == [
        first,
        first + timedelta(minutes=1),
    ]
