"""Refreshes the locks of Debian packages, all or those of one package."""

from pathlib import Path

from ops.build.debian import lock, manifest, mirrors
from ops.build.debian.apt import AptError
from ops.build.debian.resolve import resolve
from ops.build.locks import console
from ops.build.locks.errors import LockingError
from ops.build.locks.locks import like
from ops.build.locks.workspace import Workspace

_FOLDER = "3rdparty/debian"


def refresh(work: Workspace, names: list[str]) -> None:
    """Refresh the locks of these manifests or packages.

    A name is that of a manifest (``redis``), or of a package, whose locks are all those that hold
    it. Raises LockingError.
    """
    folder = work.folder / _FOLDER
    _resolve(folder, sorted({path for name in names for path in _holders(folder, name)}))


def refresh_all(work: Workspace, *, keep: bool) -> None:
    """Refresh all locks; with ``keep``, only those that lack packages of their manifest.

    Raises LockingError.
    """
    folder = work.folder / _FOLDER
    paths = sorted(folder.glob("*.toml"))
    if paths := [path for path in paths if not (keep and _satisfied(path))]:
        _resolve(folder, paths)


def _satisfied(path: Path) -> bool:
    """Whether a lock holds what its manifest names, and nothing that it excludes."""
    try:
        wanted = manifest.read(path)
        locked = lock.read(wanted.lock)
    except (manifest.ManifestError, lock.LockError):
        # The resolution reports it, or writes the lock.
        return False
    for architecture in wanted.architectures:
        names = {package.name for package in locked if package.architecture == architecture}
        if not names >= set(wanted.packages) or names & set(wanted.exclude):
            return False
    return {package.architecture for package in locked} == set(wanted.architectures)


def _resolve(folder: Path, paths: list[Path]) -> None:
    console.say(f"resolving {', '.join(f'{_FOLDER}/{path.stem}.lock' for path in paths)}")
    try:
        texts = resolve([manifest.read(path) for path in paths], mirrors.find())
    except (manifest.ManifestError, mirrors.MirrorError, AptError) as error:
        raise LockingError(mirrors.public(str(error))) from None
    for path, text in texts.items():
        path.write_text(text, encoding="utf-8")
    _tell_others(folder, set(texts))


def _holders(folder: Path, name: str) -> list[Path]:
    """The manifests that a name stands for."""
    if (folder / f"{name}.toml").exists():
        return [folder / f"{name}.toml"]
    held: dict[str, list[Path]] = {}
    for path in sorted(folder.glob("*.lock")):
        for package in {package.name for package in lock.read(path)}:
            held.setdefault(package, []).append(path.with_suffix(".toml"))
    if name not in held:
        manifests = [path.stem for path in folder.glob("*.toml")]
        raise LockingError(
            f"DEB={name}: neither a manifest of {_FOLDER} nor a package in one of its locks"
            f"{like(name, [*manifests, *held])}"
        )
    return held[name]


def _tell_others(folder: Path, written: set[Path]) -> None:
    """Name the locks that still hold other versions of what was refreshed."""
    suites = {path: manifest.read(path.with_suffix(".toml")).suite for path in written}
    fresh = {
        (suites[path], p.architecture, p.name): p.version
        for path in written
        for p in lock.read(path)
    }
    for path in sorted(set(folder.glob("*.lock")) - written):
        suite = manifest.read(path.with_suffix(".toml")).suite
        older = sorted(
            {
                p.name
                for p in lock.read(path)
                if fresh.get((suite, p.architecture, p.name), p.version) != p.version
            }
        )
        if older:
            console.say(
                f"note: {path.name} has other versions of {', '.join(older)}: "
                f"`make lock DEB={path.stem}` refreshes it"
            )
