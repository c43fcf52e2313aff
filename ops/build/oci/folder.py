"""Layers from folders: Python packages, the project's sources, loose files."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from ops.build.oci import paths, strip, wheels
from ops.build.oci.bytecode import Compiler, compiled
from ops.build.oci.components import Component
from ops.build.oci.entry import Entry, file, symlink
from ops.build.oci.errors import OciError
from ops.build.oci.tree import Tree

#: Scripts of wheels name the interpreter of the machine that installed them; images use ``python
#: -m``. Bytecode is compiled again.
_NOT_TAKEN = ("bin", "__pycache__")


def files(root: Path, into: str, origin: str, mode: int | None = None) -> Iterator[Entry]:
    """The files and links below ``root``, put below ``into``; folders follow from their content.

    Everything is owned by root; modes are 0644 or 0755, from the file's own unless ``mode`` is
    given. Raises OciError for a path or link that would leave the image.
    """
    prefix = paths.normal(into, origin)
    prefix = f"{paths.canonical(prefix)}/" if prefix else ""
    for folder, folders, names in os.walk(root):
        folders.sort()
        for name in sorted(
            [*names, *(one for one in folders if (Path(folder) / one).is_symlink())]
        ):
            path = Path(folder) / name
            target = prefix + path.relative_to(root).as_posix()
            if path.is_symlink():
                yield symlink(target, path.readlink().as_posix(), origin)
            elif path.is_file():
                yield file(target, path.read_bytes(), mode or path.stat().st_mode, origin)
            else:
                raise OciError(f"{origin}: {path} is neither a file nor a link")


def python(
    root: Path,
    into: str,
    origin: str,
    compiler: Compiler,
    *,
    installed: bool = False,
    stripper: Path | None = None,
) -> Tree:
    """Python sources and packages below ``root`` with their bytecode, put below ``into``.

    With ``installed``, ``root`` holds only installed wheels, and each file is compared with their
    RECORDs, before the packages unpacked in ``stripper`` remove debug information. Raises OciError.
    """
    tree = Tree()
    prefix = paths.canonical(paths.normal(into, origin))
    for entry in files(root, into, origin):
        below = entry.path.removeprefix(prefix).strip("/").split("/")
        if below[0] not in _NOT_TAKEN and "__pycache__" not in below:
            tree.add(entry)
    if installed:
        wheels.check(tree.entries(), prefix, _NOT_TAKEN, origin)
    if stripper:
        for entry in strip.stripped(list(tree.entries()), stripper, origin):
            tree.replace(entry)
    for entry in compiled(list(tree.entries()), compiler):
        tree.add(entry)
    return tree


def application(tree: Tree, requires: Iterable[str]) -> Component:
    """The component that our sources are: named by their packages, requiring these packages."""
    roots = {
        parts[-2]
        for parts in (entry.path.split("/") for entry in tree.entries())
        if parts[-1] == "__init__.py" and len(parts) > 1
        if "/".join((*parts[:-2], "__init__.py")) not in tree
    }
    return Component("app", " ".join(sorted(roots)) or "sources", "", requires=tuple(requires))
