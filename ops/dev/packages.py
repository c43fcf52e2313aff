"""Locked Debian packages, unpacked into the cache folder for machines that lack them."""

import shutil
import tempfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

from filelock import FileLock

from ops.build.debian import deb, fetch, lock, mirrors
from ops.dev import places
from ops.dev.errors import UpError

LOCKS = Path(__file__).parents[2] / "3rdparty/debian"

Progress = Callable[[str], None]


def quiet(_: str) -> None:
    """Discard progress messages."""


class NoMirrorError(UpError):
    """No Debian mirror is known, so nothing was downloaded."""


def root(name: str, what: str, progress: Progress = quiet) -> Path:
    """The folder into which 3rdparty/debian/NAME.lock is unpacked on first use.

    ``what`` names it in messages. Raises UpError; NoMirrorError if the machine knows no mirror.
    """
    architecture = places.debian_architecture()
    try:
        packages = [p for p in lock.read(LOCKS / f"{name}.lock") if p.architecture == architecture]
        identity = sha256("".join(p.sha256 for p in packages).encode()).hexdigest()[:16]
        target = places.cache() / name / identity
        if not _intact(target):
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
    """The command line prefix that runs ``program``, a path below ``root``.

    It uses the unpacked loader and libraries, since those of the machine may be older.
    """
    folders = libraries(root)
    loader = next(file for folder in folders for file in folder.glob("ld-linux-*.so.*"))
    path = ":".join(map(str, folders))
    name = Path(program).name
    return [str(loader), "--library-path", path, "--argv0", name, str(root / program)]


def _intact(target: Path) -> bool:
    """Whether the folder still contains exactly the unpacked files."""
    try:
        return _sums(target).read_text(encoding="utf-8") == _fingerprint(target)
    except FileNotFoundError:
        return False


def _fingerprint(folder: Path) -> str:
    """A line for each file and link below a folder, with its content or target."""
    lines = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            lines.append(f"{name} -> {path.readlink()}\n")
        elif path.is_file():
            lines.append(f"{name} {sha256(path.read_bytes()).hexdigest()}\n")
    return "".join(lines)


def _sums(target: Path) -> Path:
    return target.with_name(f"{target.name}.sha256")


def _unpack(packages: list[lock.Package], target: Path, what: str, progress: Progress) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{target}.lock"):
        if _intact(target):
            return
        if target.exists():
            progress(f"{target} is not as it was unpacked; making it anew")
            shutil.rmtree(target)
        total = sum(package.size for package in packages) / 1e6
        progress(f"fetching {what} ({len(packages)} Debian packages, {total:.0f} MB)")
        files = fetch.fetch(packages, places.cache() / "debian", mirrors.when_needed())
        with tempfile.TemporaryDirectory(dir=target.parent) as work:
            fresh = Path(work) / "root"
            for file in files:
                deb.unpack(file, fresh)
            _sums(target).write_text(_fingerprint(fresh), encoding="utf-8")
            fresh.rename(target)
