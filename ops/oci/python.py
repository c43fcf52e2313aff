"""Layers of a Python application: third-party packages out of a PEX file, and its own sources.

Packages lie flat in one folder, as ``pip install --target`` would leave them, with bytecode: an
interpreter starts faster on that than on a PEX file or a virtual environment.
"""

import json
import re
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from ops.oci import bytecode
from ops.oci.tree import Entry, Tree, TreeError

#: Debian's name of an architecture -> the machine in a wheel's platform tag.
MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}

_DEPS = ".deps/"
#: What Pex keeps beside a wheel's packages: its own notes, and scripts with its shebang.
_NOT_PACKAGES = re.compile(r"\.layout\.json|\.prefix/.*|[^/]*\.pex-info|.*\.pyc")


def wheel_fits(wheel: str, architecture: str) -> bool:
    """True when a wheel's platform tag (PEP 425, PEP 600) is for glibc Linux on the architecture."""
    tags = wheel.removesuffix(".whl").split("-")[-1].split(".")
    machine = MACHINES[architecture]
    return any(
        tag == "any" or (tag.startswith(("manylinux", "linux_")) and tag.endswith(f"_{machine}"))
        for tag in tags
    )


def select(wheels: Iterable[str], architecture: str) -> list[str]:
    """The wheels for an architecture, one for each project, sorted. Raises TreeError.

    A PEX file for several platforms holds the wheels of all. Where a project has a wheel for the
    machine and one for any, the former was chosen for this machine.
    """
    everything = sorted(set(wheels))
    chosen: dict[str, str] = {}
    for wheel in everything:
        project = wheel.split("-", 1)[0].lower()
        if not wheel_fits(wheel, architecture):
            continue
        before = chosen.get(project)
        if before is None or before.endswith("-any.whl"):
            chosen[project] = wheel
        elif not wheel.endswith("-any.whl"):
            raise TreeError(f"wheels {before} and {wheel} both fit {architecture}; lock only one")
    missing = sorted(
        {w.split("-", 1)[0] for w in everything if w.split("-", 1)[0].lower() not in chosen}
    )
    if missing:
        raise TreeError(
            f"no wheel of {', '.join(missing)} fits {architecture}; add the complete platform of "
            "that architecture to the pex_binary (3rdparty/platforms)"
        )
    return sorted(chosen.values())


def dependencies(pex: Path, folder: str, architecture: str) -> Tree:
    """The third-party packages of a zipped PEX file, below a folder. Raises TreeError."""
    tree = Tree()
    with zipfile.ZipFile(pex) as archive:
        names = [name for name in archive.namelist() if name.startswith(_DEPS)]
        wheels = {name.split("/")[1] for name in names if name.count("/") > 1}
        chosen = set(select(wheels, architecture))
        for name in sorted(names):
            _, wheel, path = (*name.split("/", 2), "")[:3]
            if wheel not in chosen or not path or name.endswith("/"):
                continue
            if _NOT_PACKAGES.fullmatch(path):
                continue
            content = archive.read(name)
            tree.add(Entry(f"{folder}/{path}", "file", _mode(path), content=content, origin=wheel))
    bytecode.add(tree, folder)
    return tree


def sources(files: Iterable[tuple[str, Path]], folder: str) -> Tree:
    """Sources and resources, by the path below the folder, with bytecode."""
    tree = Tree()
    for path, file in files:
        content = file.read_bytes()
        tree.add(Entry(f"{folder}/{path}", "file", 0o644, content=content, origin=path))
    bytecode.add(tree, folder)
    return tree


def distributions(pex: Path, architecture: str) -> Iterator[tuple[str, str, str]]:
    """Name, version and wheel of each third-party package in a PEX file for an architecture."""
    with zipfile.ZipFile(pex) as archive:
        info = json.loads(archive.read("PEX-INFO"))
    for wheel in select(info["distributions"], architecture):
        name, version = wheel.split("-")[:2]
        yield name, version, wheel


def _mode(path: str) -> int:
    # Some wheels run programs of their own; extension modules need no such bit.
    return 0o755 if "/bin/" in f"/{path}" else 0o644
