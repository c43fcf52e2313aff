"""Waivers excuse what they name, until their day; files of them that say too little are refused."""

import datetime
from pathlib import Path

import pytest

from ops.scan.findings import Finding, Waiver, WaiverError, judge, waivers

TODAY = datetime.date(2026, 6, 1)
FOUND = Finding("advisories/hello/OSV-1", "1.0 is affected")


def test_a_finding_without_a_waiver_is_bad() -> None:
    assert judge([FOUND], [], TODAY).bad == ["advisories/hello/OSV-1: 1.0 is affected"]


def test_a_waiver_holds_through_its_last_day() -> None:
    verdict = judge([FOUND], [Waiver(FOUND.name, "not reachable here", TODAY)], TODAY)
    assert verdict.bad == []
    assert verdict.waived == ["advisories/hello/OSV-1: until 2026-06-01, not reachable here"]


def test_a_waiver_that_ran_out_fails() -> None:
    yesterday = TODAY - datetime.timedelta(days=1)
    verdict = judge([FOUND], [Waiver(FOUND.name, "not reachable here", yesterday)], TODAY)
    assert "its waiver ran out on 2026-05-31 (not reachable here)" in verdict.bad[0]


def test_a_waiver_of_something_else_excuses_nothing_and_is_named() -> None:
    verdict = judge([FOUND], [Waiver("advisories/hello/OSV-2", "another one here", TODAY)], TODAY)
    assert len(verdict.bad) == 1
    assert verdict.idle == ["advisories/hello/OSV-2"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[[waiver]]\nname = "a/b"\nreason = "it is fine"', "needs name, reason and expires"),
        ('[[waiver]]\nname = "a"\nreason = "it is fine"\nexpires = 2026-01-01', "name must be"),
        ('[[waiver]]\nname = "a/b"\nreason = ""\nexpires = 2026-01-01', "reason must say why"),
        ('[[waiver]]\nname = "a/b"\nreason = "it is fine"\nexpires = "soon"', "must be a date"),
        ("[[waiver", "Expected"),
    ],
)
def test_waivers_that_say_too_little_are_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "waivers.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(WaiverError, match=message):
        waivers(path)


def test_those_of_this_repository_can_be_read() -> None:
    assert waivers(Path("ops/scan/waivers.toml"))
