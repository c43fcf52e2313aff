"""Compiles Python sources to reproducible bytecode files.

They are hash-based and unchecked (PEP 552): Python loads them without checking the source's time,
which images do not keep. The compiler is the locked interpreter that images run: the output of
CPython's compiler changes between patch releases, so the builder's own interpreter must not
influence it.
"""

import marshal
import platform
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ops.build.debian import deb as debian
from ops.build.oci import pyc
from ops.build.oci.entry import Entry, Kind, file
from ops.build.oci.errors import OciError

#: The version that images run. A .pyc's format is the same in all patch releases of a version.
VERSION = (3, 13)
_LOADERS = {
    "x86_64": ("usr/lib64/ld-linux-x86-64.so.2", "usr/lib/x86_64-linux-gnu"),
    "aarch64": ("usr/lib/ld-linux-aarch64.so.1", "usr/lib/aarch64-linux-gnu"),
}


@dataclass(frozen=True)
class Compiler:
    """The interpreter that compiles: its command, and the location of its files."""

    command: tuple[str, ...]
    home: Path | None = None

    def run(self, program: str, **streams: Any) -> bytes:
        """Run a program of the standard library alone; returns its standard output.

        ``streams`` are those of `subprocess.run`. Raises OciError if the program fails.
        """
        done = subprocess.run(
            [*self.command, "-s", "-S", "-P", "-B", program],
            env={"PYTHONHOME": str(self.home)} if self.home else {},
            stderr=subprocess.PIPE,
            check=False,
            **{"stdout": subprocess.PIPE, **streams},
        )
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip()
            raise OciError(
                f"{self.command[-1]}: {Path(program).name} ended with exit code "
                f"{done.returncode}: {said}"
            )
        return done.stdout or b""


#: For layers that have nothing to compile.
NONE = Compiler(())


def own() -> Compiler:
    """The running interpreter. Raises OciError if images run another version."""
    if sys.version_info[:2] != VERSION:
        raise OciError(f"bytecode for CPython {VERSION} cannot be made by {sys.version_info[:2]}")
    return Compiler((sys.executable,))


def unpack(debs: Sequence[Path], root: Path) -> None:
    """Unpack CPython's packages below ``root``, for `locked`."""
    # Links of merged /usr: some packages still refer to their files by them.
    for name in ("bin", "lib", "lib64", "sbin"):
        (root / "usr" / name).mkdir(parents=True)
        (root / name).symlink_to(f"usr/{name}")
    for path in debs:
        debian.unpack(path, root)


def locked(root: Path, origin: str) -> Compiler:
    """The interpreter unpacked below ``root``, run with its own loader and C library.

    Raises OciError if there is none or this machine cannot run it.
    """
    program = f"usr/bin/python{VERSION[0]}.{VERSION[1]}"
    return Compiler(loaded(root, program, origin), root.absolute() / "usr")


def loaded(root: Path, program: str, origin: str) -> tuple[str, ...]:
    """The command of a program unpacked below ``root``, with its own loader and C library.

    Raises OciError if there is none or this machine cannot run it.
    """
    machine = platform.machine()
    if platform.system() != "Linux" or machine not in _LOADERS:
        raise OciError(
            f"{origin}: images are built on Linux, x86-64 or arm64, by locked programs; this is "
            f"{platform.system()} on {machine}"
        )
    root = root.absolute()
    loader, libraries = (root / one for one in _LOADERS[machine])
    path = root / program
    if not loader.exists() or not path.exists():
        raise OciError(f"{origin}: no {path.name} and C library for {machine} in {root.name}")
    return str(loader), "--library-path", str(libraries), str(path)


def compiled(entries: Iterable[Entry], compiler: Compiler) -> Iterator[Entry]:
    """The bytecode file of each ``*.py``; a source that does not compile has none.

    Raises OciError if there is no compiler or it does not run.
    """
    if not compiler.command:
        raise OciError(
            "there is Python to compile, and no interpreter for it: name the packages of the "
            "locked one as `interpreter`"
        )
    sources = [e for e in entries if e.kind is Kind.FILE and e.path.endswith(".py")]
    request = marshal.dumps([(f"/{entry.path}", entry.content) for entry in sources])
    result = compiler.run(pyc.__file__, input=request)
    tag = f"cpython-{VERSION[0]}{VERSION[1]}"
    for entry, data in zip(sources, marshal.loads(result), strict=True):
        if data is not None:
            folder, _, name = entry.path.rpartition("/")
            cache = f"{folder}/__pycache__" if folder else "__pycache__"
            yield file(f"{cache}/{name[:-3]}.{tag}.pyc", data, origin=entry.origin)
