"""Every package of an image must be in a lock, by hash."""

import re
from collections.abc import Iterable, Mapping

from ops.build.oci.components import Component
from ops.build.oci.errors import OciError
from ops.build.oci.sbom import locked_hashes

# The format of ops/build/debian/lock.py.
_DEB = re.compile(r"^\S+ (\S+) (\S+) \d+ ([0-9a-f]{64}) \S+$", re.MULTILINE)


def check(components: Iterable[Component], locks: Mapping[str, str], origin: str) -> None:
    """Raise OciError for the first component that is in no lock.

    ``locks`` maps the path of each lock, of Debian packages or of requirements, to its text. A .deb
    is matched by its own hash; a wheel, whose file is gone once it is installed, by name and
    version.
    """
    debs: set[tuple[str, ...]] = set()
    wheels: set[tuple[str, str]] = set()
    for text in locks.values():
        debs.update(_DEB.findall(text))
        wheels.update(key for key, hashes in locked_hashes(text).items() if hashes)
    for one in components:
        if one.kind == "app":
            continue
        held = (
            (one.name, one.version, one.sha256) in debs
            if one.kind == "deb"
            else (one.name, one.version) in wheels
        )
        if not held:
            raise OciError(
                f"{origin}: {one.name} {one.version}{f' ({one.sha256})' if one.sha256 else ''} is "
                f"in the image and in none of its locks ({', '.join(sorted(locks))}): what was "
                "built is not what is locked; remove the caches of packages and build again"
            )
