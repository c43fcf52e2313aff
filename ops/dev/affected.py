"""Which tests a changed file affects: those that import it, directly or through other modules."""

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

#: Folders with code, and the folder that their modules are named from.
_PLACES = {"src": "src", "tests": ".", "ops": "."}


class Imports:
    """The imports among the modules of a checkout, from their sources.

    A test also depends on the `conftest.py` of its folder and of those above. Modules that are only
    named in strings are not seen.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._names: dict[str, Path] = {}
        self._imports: dict[Path, set[str]] = {}
        for place in _PLACES:
            for file in (root / place).rglob("*.py"):
                self.read(file)

    def read(self, file: Path) -> None:
        """Read a file again; one that is gone or cannot be parsed keeps its last imports."""
        name = self._name(file)
        if name is None or not file.exists():
            return
        self._names[name] = file
        try:
            tree = ast.parse(file.read_bytes())
        except SyntaxError:
            return
        self._imports[file] = set(_imported(tree)) | self._conftests(file)

    def tests(self, changed: Iterable[Path], steps: int | None = None) -> list[Path]:
        """The test files that depend on these files; the nearest first.

        With ``steps``, only those that need at most so many imports to reach one.

        A file that is no module, such as a template, stands for the modules of its folder, or of
        the nearest one above that has any.
        """
        users: dict[Path, set[Path]] = {}
        for file, names in self._imports.items():
            for used in self._files(names):
                users.setdefault(used, set()).add(file)
        start = {module for file in changed for module in self._modules(file)}
        level, seen = start, dict.fromkeys(sorted(start))
        while level and steps != 0:
            steps = None if steps is None else steps - 1
            level = {user for file in level for user in users.get(file, ())} - seen.keys()
            seen |= dict.fromkeys(sorted(level))
        return [file for file in seen if file.name.startswith("test_") and file.exists()]

    def _modules(self, file: Path) -> list[Path]:
        if file.suffix == ".py":
            return [file]
        for folder in file.parents:
            if modules := [module for module in self._imports if module.parent == folder]:
                return modules
        return []

    def _files(self, names: set[str]) -> Iterator[Path]:
        for name in names:
            # Importing a module runs the packages above it.
            parts = name.split(".")
            for length in range(1, len(parts) + 1):
                if file := self._names.get(".".join(parts[:length])):
                    yield file

    def _conftests(self, file: Path) -> set[str]:
        found = (self._name(folder / "conftest.py") for folder in file.parents)
        return {name for name in found if name} if "tests" in file.parts else set()

    def _name(self, file: Path) -> str | None:
        relative = file.relative_to(self.root) if file.is_relative_to(self.root) else None
        if relative is None or not relative.parts or relative.parts[0] not in _PLACES:
            return None
        parts = relative.relative_to(_PLACES[relative.parts[0]]).with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imported(tree: ast.Module) -> Iterator[str]:
    """The names of imported modules, and of what is imported from them: it may be a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
