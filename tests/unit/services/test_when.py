"""When schedules are due: intervals in UTC, and clocks that change."""

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
    """What is due later than `begin` and until `end`, in UTC, as PostgreSQL would store it."""
    times, moment, found = parse(text), utc(begin), []
    while (moment := times.after(moment)) <= utc(end):
        assert moment.tzinfo is not None
        # As from the database: without the time zone it was found in.
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
    # Whoever asks, and when: one moment.
    early, late = utc("2026-01-01T00:07:03.25"), utc("2026-01-01T00:14:59.999999")
    assert parse("every 15m").after(early) == parse("every 15m").after(late)


def test_cron_without_a_zone_is_in_utc() -> None:
    assert moments("30 2 * * *", "2026-03-28T02:30", "2026-03-30T12:00") == [
        "03-29 02:30",
        "03-30 02:30",
    ]


def test_cron_has_names_last_days_and_either_of_two_days() -> None:
    year = ("2026-01-01T00:00", "2026-03-01T00:00")
    assert moments("0 9 * * mon#1", *year) == ["01-05 09:00", "02-02 09:00"]
    assert moments("0 9 L * *", *year) == ["01-31 09:00", "02-28 09:00"]
    # As cron has it: the 13th, and Fridays.
    assert moments("0 9 13 * FRI", "2026-01-10T00:00", "2026-01-24T00:00") == [
        "01-13 09:00",
        "01-16 09:00",
        "01-23 09:00",
    ]


def test_time_that_is_skipped_is_made_up_for_right_after() -> None:
    # 2026-03-29 in Berlin: after 01:59 comes 03:00, which is 01:00 UTC.
    night = ("2026-03-27T12:00", "2026-03-30T12:00")
    assert moments("30 2 * * * Europe/Berlin", *night) == [
        "03-28 01:30",
        "03-29 01:00",
        "03-30 00:30",
    ]
    # Once, though several times of it are skipped, or one of them is the moment after.
    assert moments("0,30 2 * * * Europe/Berlin", *night)[2:4] == ["03-29 01:00", "03-30 00:00"]
    assert moments("0 2,3 * * * Europe/Berlin", *night)[2:4] == ["03-29 01:00", "03-30 00:00"]


def test_time_that_comes_twice_counts_once() -> None:
    # 2026-10-25 in Berlin: 02:00 to 02:59 is at 00:00 UTC, and again at 01:00 UTC.
    day = ("2026-10-24T12:00", "2026-10-26T12:00")
    assert moments("30 2 * * * Europe/Berlin", *day) == ["10-25 00:30", "10-26 01:30"]
    assert moments("0,30 2 * * * Europe/Berlin", *day) == [
        "10-25 00:00",
        "10-25 00:30",
        "10-26 01:00",
        "10-26 01:30",
    ]
    # Also for who asks in the second of the two hours.
    second = parse("30 2 * * * Europe/Berlin").after(utc("2026-10-25T01:10"))
    assert second == datetime(2026, 10, 26, 2, 30, tzinfo=BERLIN)


def test_where_the_hour_is_a_star_the_hours_that_pass_are_counted() -> None:
    spring = moments("15 * * * * Europe/Berlin", "2026-03-28T23:30", "2026-03-29T02:30")
    assert spring == ["03-29 00:15", "03-29 01:15", "03-29 02:15"]
    autumn = moments("15 * * * * Europe/Berlin", "2026-10-24T23:30", "2026-10-25T02:30")
    assert autumn == ["10-25 00:15", "10-25 01:15", "10-25 02:15"]


def test_midnight_that_is_skipped_is_made_up_for() -> None:
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
def test_what_comes_after_comes_after(fields: str, zone: str, begin: datetime) -> None:
    times, moment = parse(f"{fields} {zone}"), begin.replace(tzinfo=UTC)
    found = [moment]
    for _ in range(12):
        found.append(times.after(found[-1]).astimezone(UTC))
    assert all(one < other for one, other in pairwise(found))
    # From wherever one asks in between, the same moment comes next: nobody skips or doubles one.
    for one, other in pairwise(found[1:]):
        assert times.after(one + (other - one) / 2).astimezone(UTC) == other
        assert times.after(other - timedelta(microseconds=1)).astimezone(UTC) == other


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "neither an interval"),
        ("every", "an interval is a number"),
        ("every day", "an interval is a number"),
        ("every 15 m", "an interval is a number"),
        ("every 0s", "between a second and 366 days"),
        ("every 0.1s", "between a second and 366 days"),
        ("every 999999999d", "between a second and 366 days"),
        ("* * * *", "neither an interval"),
        ("0 0 3 * * * *", "neither an interval"),
        ("61 * * * *", "bad minute"),
        ("0 24 * * *", "bad hour"),
        ("0 0 * * FUN", "bad day-of-week"),
        ("0 0 30 2 *", "bad day-of-month"),
        ("0 0 * 2 1#6", "bad day-of-week"),
        ("0 3 * * * Europe/Nowhere", "no time zone has the name Europe/Nowhere"),
        ("0 3 * * * Europe", "no time zone has the name Europe"),
        ("0 3 * * * ../etc/passwd", "no time zone has the name"),
        ("0 3 * * *" + ",1" * 100, "longer than 200"),
    ],
)
def test_what_says_no_time_is_refused_with_the_reason(text: str, why: str) -> None:
    with pytest.raises(BadWhen, match=why):
        parse(text)


def test_missed_moments_are_skipped_joined_or_all_made_up_for() -> None:
    times, first = parse("every 1h"), utc("2026-01-01T01:00")
    now = utc("2026-01-01T03:30")
    assert due(times, first, now, Missed.SKIP) == []
    assert due(times, first, now, Missed.ONCE) == [utc("2026-01-01T03:00")]
    assert due(times, first, now, Missed.EACH) == [utc(f"2026-01-01T0{n}:00") for n in (1, 2, 3)]
    # One that is hardly late is not missed.
    assert due(times, first, first + GRACE, Missed.SKIP) == [first]
    assert due(times, first, first + GRACE + timedelta(seconds=1), Missed.SKIP) == []


@pytest.mark.parametrize("text", ["every 1s", "* * * * *", "0 4 * * MON Europe/Berlin"])
def test_the_last_ones_are_found_after_years_too(text: str) -> None:
    times, now = parse(text), utc("2026-06-01T12:34:56.789")
    first = times.after(utc("2020-01-01T00:00"))
    found = last(times, first, now, CATCH_UP)
    assert len(found) == CATCH_UP
    assert found[-1] <= now < times.after(found[-1])
    assert all(times.after(one) == other for one, other in pairwise(found))


def test_a_moment_before_first_does_not_count() -> None:
    times, first = parse("every 1m"), utc("2026-01-01T00:10")
    assert last(times, first, utc("2026-01-01T00:11:30"), 50) == [
        first,
        first + timedelta(minutes=1),
    ]
