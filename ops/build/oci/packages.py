"""The packages of a layer: those of its lock that are in no lower layer."""

from collections.abc import Iterable
from pathlib import Path

from ops.build.debian import fetch, lock, mirrors
from ops.build.debian.lock import Package
from ops.build.oci.errors import OciError


def select(wanted: Path, architecture: str, below: Iterable[Path], origin: str) -> list[Package]:
    """The packages of ``wanted`` for an architecture, without those of the locks ``below`` it.

    Raises OciError if two locks differ in a package: an image can hold only one version.
    """
    there: dict[str, tuple[Package, Path]] = {}
    for path in below:
        for package in _of(path, architecture, origin):
            there.setdefault(package.name, (package, path))
    chosen: list[Package] = []
    for package in _of(wanted, architecture, origin):
        if package.name not in there:
            chosen.append(package)
        elif there[package.name][0] != package:
            older, path = there[package.name]
            raise OciError(
                f"{origin}: {wanted.name} locks {package.name} {package.version}, and {path.name} "
                f"below it {older.version}: refresh both with `make lock`"
            )
    return chosen


def gather(packages: Iterable[Package], output: Path, cache: Path) -> list[Package]:
    """Put the packages' files into a folder, from the cache or a mirror; returns the packages.

    Raises FetchError, which names each unavailable package, and MirrorError.
    """
    wanted = list(packages)
    fetch.fetch(wanted, cache, mirrors.when_needed())
    output.mkdir(parents=True, exist_ok=True)
    for package in wanted:
        fetch.copy(cache, package, output)
    return wanted


def _of(path: Path, architecture: str, origin: str) -> list[Package]:
    found = [package for package in lock.read(path) if package.architecture == architecture]
    if not found:
        raise OciError(
            f"{origin}: {path.name} locks nothing for {architecture}: add it to the "
            "architectures of its manifest, and run `make lock`"
        )
    return found
