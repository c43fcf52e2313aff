"""Waivers excuse what they name until they expire; incomplete waivers are refused."""

import datetime
from pathlib import Path

import pytest

from ops.ci.scan.findings import Finding, Waiver, WaiverError, judge, waivers

TODAY = datetime.date(2026, 6, 1)
FOUND = Finding("advisories/hello/OSV-1", "1.0 is affected")


def test_finding_without_a_waiver_fails() -> None:
    assert judge([FOUND], [], TODAY).bad == ["advisories/hello/OSV-1: 1.0 is affected"]


def test_waiver_applies_through_its_last_day() -> None:
    verdict = judge([FOUND], [Waiver(FOUND.name, "not reachable here", TODAY)], TODAY)
    assert verdict.bad == []
    assert verdict.waived == ["advisories/hello/OSV-1: until 2026-06-01, not reachable here"]


def test_expired_waiver_fails() -> None:
    yesterday = TODAY - datetime.timedelta(days=1)
    verdict = judge([FOUND], [Waiver(FOUND.name, "not reachable here", yesterday)], TODAY)
    assert "its waiver expired on 2026-05-31 (not reachable here)" in verdict.bad[0]


def test_unused_waiver_excuses_nothing_and_is_named() -> None:
    verdict = judge([FOUND], [Waiver("advisories/hello/OSV-2", "another one here", TODAY)], TODAY)
    assert len(verdict.bad) == 1
    assert verdict.idle == ["advisories/hello/OSV-2"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[[waiver]]\nname = "a/b"\nreason = "it is fine"', "must have name, reason and expires"),
        ('[[waiver]]\nname = "a"\nreason = "it is fine"\nexpires = 2026-01-01', "name must be"),
        (
            '[[waiver]]\nname = "a/b"\nreason = ""\nexpires = 2026-01-01',
            "reason must have at least three words",
        ),
        ('[[waiver]]\nname = "a/b"\nreason = "it is fine"\nexpires = "soon"', "must be a date"),
        ("[[waiver", "Expected"),
    ],
)
def test_incomplete_waivers_are_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "waivers.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(WaiverError, match=message):
        waivers(path)


def test_waivers_of_this_repository_are_valid() -> None:
    assert waivers(Path("ops/ci/scan/waivers.toml"))
