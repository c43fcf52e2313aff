"""The tables of docs/security.md are complete and sorted."""

import re
from pathlib import Path

from fastapi_base.services.audit.audit import Action

PAGE = Path("docs/security.md").read_text(encoding="utf-8")


def first_cells(heading: str) -> list[str]:
    """The first cell of each row below a heading, without the head of the table."""
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (.*?) \|", section, re.MULTILINE)
    return rows[1:]


def test_each_kind_of_audit_event_has_a_row() -> None:
    listed = [name for cell in first_cells("Audit log") for name in re.findall(r"`(.+?)`", cell)]
    assert sorted(listed) == sorted(Action)


def test_requirements_are_sorted() -> None:
    cells = first_cells("OWASP ASVS 5")
    first = [tuple(map(int, cell.split(",")[0].split("."))) for cell in cells]
    assert len(first) > 90
    assert first == sorted(first)
