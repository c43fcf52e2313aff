"""Unpacks the packages of a Debian lock, for programs that are not installed here.

Usage: python -m ops.ci.unpacked LOCK FOLDER. An existing folder is left as it is. Exit status 1,
with the reason on standard error, if a package is unavailable.
"""

import platform
import sys
import tempfile
from pathlib import Path

from ops.build.debian import deb, fetch, lock, mirrors

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


def unpack(path: Path, folder: Path) -> None:
    """Fill ``folder`` completely or not at all. Raises LockError, FetchError, MirrorError,
    DebError.
    """
    architecture = _ARCHITECTURES[platform.machine().lower()]
    packages = [one for one in lock.read(path) if one.architecture == architecture]
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as work:
        fresh = Path(work) / "root"
        for file in fetch.fetch(packages, Path(work) / "debs", mirrors.when_needed()):
            deb.unpack(file, fresh)
        fresh.rename(folder)


def main(arguments: list[str]) -> int:
    """Run the program; returns the exit code."""
    path, folder = map(Path, arguments)
    try:
        if not folder.is_dir():
            unpack(path, folder)
    except (lock.LockError, fetch.FetchError, mirrors.MirrorError, deb.DebError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
