"""Changes to a tree that are applied completely or not at all."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from ops.template.slices.manifest import is_foreign

#: Folders and files with marks. The change log and the decisions stay as they are.
PLACES = (
    *("src", "tests", "ops", "clients", "docs", "3rdparty/python", ".github", "README.md"),
    *("CONTRIBUTING.md", ".env.example", "Makefile", "pyproject.toml"),
)
SUFFIXES = {".py", ".md", ".toml", ".yml", ".yaml", ".sh", ".txt", ".cfg", ".example", ".ts", ""}
_KEPT = Path("docs/decisions")


def texts(root: Path, *places: str) -> Iterator[Path]:
    """The files below these places that may have marks."""
    for place in places or PLACES:
        for file in (root / place).rglob("*") if (root / place).is_dir() else [root / place]:
            relative = file.relative_to(root)
            # `.github` itself is no cache.
            foreign = is_foreign(Path(*relative.parts[1:])) or relative.is_relative_to(_KEPT)
            if file.suffix in SUFFIXES and not foreign and file.is_file():
                yield file


class Edits:
    """Pending changes: texts of files, and files to remove. Nothing is written before `apply`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.removed: set[Path] = set()
        self._read: dict[Path, str] = {}
        self._changed: dict[Path, str] = {}

    def text(self, file: Path) -> str:
        """The text with the changes so far. An absent or removed file has none."""
        if file in self._changed:
            return self._changed[file]
        if file not in self._read:
            there = file.is_file() and file not in self.removed
            self._read[file] = file.read_text("utf-8") if there else ""
        return self._read[file]

    def change(self, file: Path, change: Callable[[str], str]) -> None:
        """Change the text of a file that is not removed."""
        if file not in self.removed and (changed := change(self.text(file))) != self.text(file):
            self._changed[file] = changed

    def remove(self, file: Path) -> None:
        """Remove a file, whatever else was to change in it."""
        self.removed.add(file)
        self._changed.pop(file, None)

    def apply(self) -> None:
        """Write all changes. If one fails, or the program is interrupted, all are undone."""
        files = [*self._changed, *self.removed]
        before = {file: (file.read_bytes(), file.stat().st_mode) for file in files}
        try:
            for file, text in self._changed.items():
                file.write_text(text, "utf-8")
            for file in self.removed:
                file.unlink()
            self._remove_empty_folders()
        except BaseException:
            for file, (content, mode) in before.items():
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(content)
                file.chmod(mode)
            raise

    def _remove_empty_folders(self) -> None:
        for folder in {file.parent for file in self.removed}:
            while folder != self.root and folder.exists():
                if any(path.name != "__pycache__" for path in folder.iterdir()):
                    break
                shutil.rmtree(folder)
                folder = folder.parent
