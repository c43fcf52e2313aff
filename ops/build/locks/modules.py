"""Tells Pants and mypy about a new package: its modules, and whether they are typed."""

import re
from pathlib import Path

from ops.build.locks.locks import normal

BUILD = "3rdparty/python/BUILD"
PYPROJECT = "pyproject.toml"
_INDENT = " " * 8
_ENTRY = re.compile(rf'^{_INDENT}"([^"]+)": \[[^\]]*\],\n', re.MULTILINE)
_UNTYPED = re.compile(
    r"(?P<head>\[\[tool\.mypy\.overrides\]\]\nmodule = \[\n)(?P<names>[^\]]*)"
    r"(?P<tail>\]\nignore_missing_imports = true\n)"
)


def found(folder: Path) -> list[str]:
    """The modules in an unpacked wheel that code can import; parts of a namespace in full."""
    names: set[str] = set()
    for entry in sorted(folder.iterdir()):
        unimportable = (".dist-info", ".data", ".pth", "-stubs")
        if entry.name.endswith(unimportable) or entry.name.startswith(("_", ".")):
            continue
        if entry.is_dir() and not (entry / "__init__.py").exists():
            names.update(f"{entry.name}.{below}" for below in found(entry))
        elif entry.is_dir() or entry.suffix in (".py", ".so"):
            names.add(entry.name.split(".")[0])
    return sorted(names - {"bin", "share", "tests"})


def typed(folder: Path, modules: list[str]) -> bool:
    """Whether the package declares that it has types (PEP 561)."""
    return any((folder / name.replace(".", "/") / "py.typed").exists() for name in modules)


def map_modules(build: str, name: str, modules: list[str]) -> str:
    """Add a package's modules to `module_mapping` if its name does not tell them.

    Returns ``build`` unchanged if the name does, or if there is no mapping.
    """
    key = normal(name)
    if not modules or modules == [key.replace("-", "_")] or f'{_INDENT}"{key}": [' in build:
        return build
    listed = ", ".join(f'"{module}"' for module in modules)
    entry = f'{_INDENT}"{key}": [{listed}],\n'
    if len(entry) > 100:
        lines = "".join(f'{_INDENT}    "{module}",\n' for module in modules)
        entry = f'{_INDENT}"{key}": [\n{lines}{_INDENT}],\n'
    start = re.search(r"^    module_mapping=\{\n(?: +# Modules .*\n)*", build, re.MULTILINE)
    if not start:
        return build
    end = build.index("\n    },", start.end() - 1) + 1
    at = start.end()
    for match in _ENTRY.finditer(build, start.end() - 1, end):
        if match[1] < key:
            at = match.end()
    return build[:at] + entry + build[at:]


def unmap(build: str, name: str) -> str:
    """Remove a package from `module_mapping`."""
    return re.sub(
        rf'^{_INDENT}"{re.escape(normal(name))}": \[[^\]]*\],\n', "", build, flags=re.MULTILINE
    )


def mapped(build: str, name: str) -> list[str]:
    """The modules of a package that `module_mapping` names; else the one of its name."""
    for match in _ENTRY.finditer(build):
        if match[1] == normal(name):
            return re.findall(r'"([^"]+)"', match[0])[1:]
    return [normal(name).replace("-", "_")]


def allow_untyped(pyproject: str, modules: list[str]) -> str:
    """Let mypy accept imports of these modules although they have no types."""

    def extended(match: re.Match[str]) -> str:
        names = {*match["names"].splitlines(), *(f'  "{name}.*",' for name in modules)}
        return match["head"] + "".join(f"{one}\n" for one in sorted(names)) + match["tail"]

    return _UNTYPED.sub(extended, pyproject, count=1)


def forbid_untyped(pyproject: str, modules: list[str]) -> str:
    """Undo `allow_untyped`."""
    for name in modules:
        pyproject = pyproject.replace(f'  "{name}.*",\n', "")
    return pyproject
