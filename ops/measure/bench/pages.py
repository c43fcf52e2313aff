"""Text that programs write into pages, between two marks that name the program."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
OBSERVABILITY = ROOT / "docs/observability.md"


def write(page: Path, program: str, text: str) -> None:
    """Put the text between the marks of the program. Raises ValueError when there are none."""
    page.write_text(written(page.read_text(), program, text))


def written(document: str, program: str, text: str) -> str:
    """The page with this text between the marks of the program. Raises ValueError."""
    begin, end = f"<!-- {program} writes from here -->", f"<!-- {program} writes to here -->"
    before, begun, rest = document.partition(begin)
    _, ended, after = rest.partition(end)
    if not begun or not ended:
        raise ValueError(f"there are no marks for {program}")
    return f"{before}{begin}\n\n{text}\n\n{end}{after}"
