"""Compares installed wheels with their own RECORD.

    python -m ops.build.oci.wheels FILE.pex ...

Pex verifies a wheel's hash against the lock once, when it unpacks the wheel, and later copies it
from its cache without verification. Files damaged there since must not reach an image or a binary:
the builder checks images, and the command above PEX files (`make package` runs it).
"""

import base64
import csv
import hashlib
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from zipfile import BadZipFile, ZipFile

from ops.build.oci.entry import Entry, Kind, file
from ops.build.oci.errors import OciError

_RECORD = ".dist-info/RECORD"
# Where Pex keeps files of a wheel that do not belong into a folder of packages.
_OF_PEX = (".prefix", "bin")
# RECORD may use these (Binary distribution format, "The .dist-info directory").
_ALGORITHMS = ("sha256", "sha384", "sha512")
_CURE = (
    "remove the cache of Pex (pex_root in the folder of [GLOBAL].named_caches_dir) and build again"
)


def check(entries: Iterable[Entry], prefix: str, skipped: Iterable[str], origin: str) -> None:
    """Compare the files below ``prefix`` with the RECORDs of the distributions there.

    Each file must be listed in one RECORD with a matching hash (PyPA, Recording installed
    projects), and each listed file must exist, except below the folders ``skipped``, which images
    exclude. Raises OciError, which names the first mismatching file and the remedy.
    """
    left_out = tuple(f"{name}/" for name in skipped)
    start = f"{prefix}/" if prefix else ""
    files = {
        entry.path.removeprefix(start): entry.content
        for entry in entries
        if entry.kind is Kind.FILE
    }
    listed: dict[str, str] = {}
    for path, content in files.items():
        if path.endswith(_RECORD) and path.count("/") == 1:
            listed |= _rows(content, path, origin)
    for path in sorted(files):
        _compare(path, files[path], listed, origin)
    for path in sorted(listed.keys() - files.keys()):
        if not path.startswith((*left_out, "../")) and not path.endswith(".pyc"):
            raise OciError(f"{origin}: {path} is missing, although its RECORD lists it: {_CURE}")


def check_pex(pex: Path) -> None:
    """Compare the wheels in a PEX file with their RECORDs. Raises OciError like `check`."""
    found: dict[str, list[Entry]] = {}
    with ZipFile(pex) as opened:
        for info in opened.infolist():
            folder, _, rest = info.filename.partition("/")
            wheel, _, path = rest.partition("/")
            # Pex adds files of its own, whose names start with a dot.
            if folder == ".deps" and path and not info.is_dir() and not path.startswith("."):
                found.setdefault(wheel, []).append(file(path, opened.read(info)))
    for wheel, entries in found.items():
        check(entries, "", _OF_PEX, f"{pex.name}: {wheel}")


def _rows(content: bytes, path: str, origin: str) -> Mapping[str, str]:
    """The hash of each file that a RECORD lists, as `ALGORITHM=DIGEST`; empty for itself."""
    rows: dict[str, str] = {}
    for row in csv.reader(content.decode(errors="replace").splitlines()):
        if len(row) < 2:
            raise OciError(f"{origin}: {path} has the line {row!r}, which is none of a RECORD")
        rows[row[0]] = row[1]
    return rows


def _compare(path: str, content: bytes, listed: Mapping[str, str], origin: str) -> None:
    if path not in listed:
        raise OciError(f"{origin}: {path} is in no wheel's RECORD, so it is of no wheel: {_CURE}")
    if path.endswith(_RECORD):
        # No file can contain its own hash.
        return
    algorithm, _, digest = listed[path].partition("=")
    if algorithm not in _ALGORITHMS:
        raise OciError(f"{origin}: {path} has no hash in its wheel's RECORD: {_CURE}")
    found = base64.urlsafe_b64encode(hashlib.new(algorithm, content).digest())
    if found.rstrip(b"=").decode() != digest:
        raise OciError(f"{origin}: {path} differs from its wheel's RECORD: {_CURE}")


def main(arguments: list[str] | None = None) -> int:
    """Check PEX files; returns the exit code."""
    words = sys.argv[1:] if arguments is None else arguments
    if not words:
        print("wheels: name the PEX files to check, such as dist/*.pex", file=sys.stderr)
        return 2
    try:
        for word in words:
            if not Path(word).exists():
                raise OciError(
                    f"{word} does not exist; build the PEX files with ./pants package ::"
                )
            check_pex(Path(word))
    except (OSError, BadZipFile, OciError) as error:
        print(f"wheels: {error}", file=sys.stderr)
        return 1
    print(f"PEX files whose packages match their RECORDs: {len(words)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
