"""Locked Debian packages that the suite, its updates or its security archive have replaced.

A stable suite changes a package for its security or a grave fault only, so each such change counts.
Debian's security tracker, which says what was mended, is on no mirror; this is what mirrors know.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from ops.debian import lock, manifest, mirrors, resolve
from ops.debian.apt import AptError
from ops.scan.findings import Finding, UnavailableError


def scan(manifests: Iterable[Path]) -> Iterator[Finding]:
    """A finding for each package whose lock is behind. Raises UnavailableError."""
    wanted = [manifest.read(path) for path in manifests]
    try:
        newest = resolve.resolve(wanted, mirrors.find())
    except (AptError, mirrors.MirrorError) as error:
        raise UnavailableError(str(error)) from None
    for path, text in newest.items():
        yield from behind(path.stem, lock.read(path), lock.parse(text, str(path)))


def behind(
    name: str, locked: Iterable[lock.Package], newest: Iterable[lock.Package]
) -> Iterator[Finding]:
    """What differs between a lock and what would be locked now; ``name`` is the lock's."""
    now = {(package.architecture, package.name): package for package in newest}
    for package in locked:
        new = now.get((package.architecture, package.name))
        if new is not None and new.version != package.version:
            security = new.path.startswith("pool/updates/")
            archive = "the security archive" if security else "the suite"
            yield Finding(
                f"debian/{name}/{package.name}",
                f"{package.version} is locked, {archive} has {new.version}",
            )
