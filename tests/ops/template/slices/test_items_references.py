"""No test outside the slice refers to it, so that the tests left after its removal can pass."""

import re
import shutil
from pathlib import Path

from ops.template.slices.remove import remove

#: A path of the API, a table in SQL, a scope, or an operation.
REFERENCE = re.compile(
    r"/items\b|\b(?:into|from|update|table|join) items\b|\bitems:(?:read|write)\b"
    r"|\b(?:create|read|update|delete|restore|export|import)_items?\b",
    re.IGNORECASE,
)
#: Ends a line that may refer to the slice, and gives the reason.
REASON = re.compile(r"# not the slice: \w")


def references(tests: Path) -> list[str]:
    """The lines below a directory that refer to items without a reason."""
    return [
        f"{file.relative_to(tests)}:{number}: {line.strip()}"
        for file in sorted(tests.rglob("*.py"))
        for number, line in enumerate(file.read_text("utf-8").splitlines(), 1)
        if REFERENCE.search(line) and not REASON.search(line)
    ]


def test_remaining_tests_do_not_refer_to_the_items(tmp_path: Path) -> None:
    for place in ("src", "tests"):
        shutil.copytree(place, tmp_path / place, ignore=shutil.ignore_patterns("__pycache__"))
    # The tests of the removal itself.
    shutil.rmtree(tmp_path / "tests/ops/template/slices")
    remove(tmp_path, "items")
    assert references(tmp_path / "tests") == []


def test_references_are_found(tmp_path: Path) -> None:
    file = tmp_path / "test_a.py"
    for line in ('get("/api/v1/items/export")', "INSERT INTO items (id)", '"{items:read}"'):
        file.write_text(f"{line}\n{line}  # not the slice: a route of the test\nitems = 1\n")
        assert references(tmp_path) == [f"test_a.py:1: {line}"]
