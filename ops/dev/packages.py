"""Locked Debian packages, unpacked into the cache folder: what a machine lacks, not installed."""

import tempfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

from filelock import FileLock

from ops.debian import deb, fetch, lock, mirrors
from ops.dev import places
from ops.dev.errors import UpError

LOCKS = Path(__file__).parents[2] / "3rdparty/debian"

Progress = Callable[[str], None]


def quiet(_: str) -> None:
    """Progress that nobody wants to see."""


class NoMirrorError(UpError):
    """No Debian mirror is known, so nothing was looked for."""


def root(name: str, what: str, progress: Progress = quiet) -> Path:
    """The folder that 3rdparty/debian/NAME.lock is unpacked in, filled on first use.

    ``what`` names it in messages. Raises UpError; NoMirrorError where the machine knows no mirror.
    """
    architecture = places.debian_architecture()
    try:
        packages = [p for p in lock.read(LOCKS / f"{name}.lock") if p.architecture == architecture]
        identity = sha256("".join(p.sha256 for p in packages).encode()).hexdigest()[:16]
        target = places.cache() / name / identity
        if not target.is_dir():
            _unpack(packages, target, what, progress)
    except mirrors.MirrorError as error:
        raise NoMirrorError(f"{what}: {error}") from None
    except (lock.LockError, fetch.FetchError) as error:
        raise UpError(f"{what}: {error}") from None
    return target


def libraries(folder: Path) -> list[Path]:
    """The library folders below a root."""
    triplet = {"amd64": "x86_64-linux-gnu", "arm64": "aarch64-linux-gnu"}[
        places.debian_architecture()
    ]
    return [p for p in (folder / "usr/lib" / triplet, folder / "lib" / triplet) if p.is_dir()]


def command(root: Path, program: str) -> list[str]:
    """The start of a command line that runs ``program``, a path below ``root``.

    By the loader and the libraries that are there, since those of the machine may be older.
    """
    folders = libraries(root)
    loader = next(file for folder in folders for file in folder.glob("ld-linux-*.so.*"))
    path = ":".join(map(str, folders))
    name = Path(program).name
    return [str(loader), "--library-path", path, "--argv0", name, str(root / program)]


def _unpack(packages: list[lock.Package], target: Path, what: str, progress: Progress) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{target}.lock"):
        if target.is_dir():
            return
        total = sum(package.size for package in packages) / 1e6
        progress(f"fetching {what} ({len(packages)} Debian packages, {total:.0f} MB)")
        files = fetch.fetch(packages, places.cache() / "debian", mirrors.find())
        with tempfile.TemporaryDirectory(dir=target.parent) as work:
            fresh = Path(work) / "root"
            for file in files:
                deb.unpack(file, fresh)
            fresh.rename(target)
