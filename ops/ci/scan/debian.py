"""Locked Debian packages that the suite, its updates or its security archive have replaced.

A stable suite changes a package only for security or serious bugs, so each change counts. Debian's
security tracker, which lists the fixes, is on no mirror; this is what mirrors provide.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from ops.build.debian import lock, manifest, mirrors, resolve
from ops.build.debian.apt import AptError
from ops.ci.scan.findings import Finding, UnavailableError


def scan(manifests: Iterable[Path]) -> Iterator[Finding]:
    """A finding for each outdated package of a lock. Raises UnavailableError."""
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
    """The differences between a lock and a refreshed lock; ``name`` is the lock's."""
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
