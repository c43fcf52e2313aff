"""Findings, and temporary waivers."""

import datetime
import re
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

#: Why an advisory does not affect a product (OpenVEX 0.2.0, "Status Justifications").
JUSTIFICATIONS = (
    "component_not_present",
    "vulnerable_code_not_present",
    "vulnerable_code_not_in_execute_path",
    "vulnerable_code_cannot_be_controlled_by_adversary",
    "inline_mitigations_already_exist",
)


class WaiverError(ValueError):
    """An invalid file of waivers; the message names the entry and the expected form."""


class UnavailableError(RuntimeError):
    """A check could not run; this is neither a finding nor a pass."""


@dataclass(frozen=True, order=True)
class Finding:
    """``name`` identifies it in waivers, such as ``advisories/jinja2/PYSEC-2019-217``."""

    name: str
    text: str


@dataclass(frozen=True)
class Waiver:
    """Waives the finding of this name up to and including the day ``expires``.

    ``justification`` is one of OpenVEX's, for an advisory that does not affect what is shipped.
    """

    name: str
    reason: str
    expires: datetime.date
    justification: str = ""


@dataclass(frozen=True)
class Verdict:
    """``bad`` fails a run; ``waived`` findings do not; ``idle`` waivers match no finding."""

    bad: Sequence[str]
    waived: Sequence[str]
    idle: Sequence[str]


def waivers(path: Path) -> list[Waiver]:
    """Read a file of ``[[waiver]]`` tables. Raises WaiverError."""
    try:
        entries = tomllib.loads(path.read_text(encoding="utf-8")).get("waiver", [])
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise WaiverError(f"{path}: {error}") from None
    read = []
    for number, entry in enumerate(entries, 1):
        where = f"{path}: waiver {number}"
        if set(entry) - {"justification"} != {"name", "reason", "expires"}:
            raise WaiverError(f"{where}: must have name, reason and expires, not {sorted(entry)}")
        name, reason, expires = entry["name"], entry["reason"], entry["expires"]
        justification = entry.get("justification", "")
        if justification not in ("", *JUSTIFICATIONS):
            raise WaiverError(
                f"{where} ({name}): justification must be one of {', '.join(JUSTIFICATIONS)}"
            )
        if not isinstance(name, str) or not re.fullmatch(r"\S+/\S.*", name):
            raise WaiverError(f"{where}: name must be the printed name of a finding, not {name!r}")
        if not isinstance(reason, str) or len(reason.split()) < 3:
            raise WaiverError(f"{where} ({name}): reason must have at least three words")
        if type(expires) is not datetime.date:
            raise WaiverError(f"{where} ({name}): expires must be a date such as 2027-01-31")
        read.append(Waiver(name, reason, expires, justification))
    return read


def judge(findings: Iterable[Finding], excused: Iterable[Waiver], today: datetime.date) -> Verdict:
    """Which findings count on this day. An expired waiver waives nothing and is reported."""
    by_name = {waiver.name: waiver for waiver in excused}
    bad, waived, used = [], [], set()
    for finding in sorted(set(findings)):
        waiver = by_name.get(finding.name)
        if waiver is None:
            bad.append(f"{finding.name}: {finding.text}")
            continue
        used.add(waiver.name)
        if waiver.expires < today:
            bad.append(
                f"{finding.name}: {finding.text}\n    its waiver expired on {waiver.expires} "
                f"({waiver.reason}): fix it, or reassess it and set a later date"
            )
        else:
            waived.append(f"{finding.name}: until {waiver.expires}, {waiver.reason}")
    return Verdict(bad, waived, sorted(set(by_name) - used))
