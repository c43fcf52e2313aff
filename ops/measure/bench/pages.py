"""Writes generated text into pages, between two markers that name the program."""

from pathlib import Path

ROOT = Path(__file__).parents[3]
OBSERVABILITY = ROOT / "docs/observability.md"


def write(page: Path, program: str, text: str) -> None:
    """Replace the text between the program's markers. Raises ValueError if there are none."""
    page.write_text(written(page.read_text(), program, text))


def written(document: str, program: str, text: str) -> str:
    """The page with this text between the program's markers. Raises ValueError."""
    begin, end = f"<!-- {program} writes from here -->", f"<!-- {program} writes to here -->"
    before, begun, rest = document.partition(begin)
    _, ended, after = rest.partition(end)
    if not begun or not ended:
        raise ValueError(f"there are no marks for {program}")
    return f"{before}{begin}\n\n{text}\n\n{end}{after}"
