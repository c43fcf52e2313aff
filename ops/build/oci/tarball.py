"""Tar archives whose bytes depend only on their entries (POSIX.1-2001 pax, see pax(1))."""

import hashlib
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ops.build.oci.entry import Entry, Kind
from ops.build.oci.errors import OciError

#: Seconds since 1970, for every file of every image.
MTIME = 0

_TYPES = {
    Kind.FILE: tarfile.REGTYPE,
    Kind.DIRECTORY: tarfile.DIRTYPE,
    Kind.SYMLINK: tarfile.SYMTYPE,
    Kind.HARDLINK: tarfile.LNKTYPE,
}
_KINDS = {number: kind for kind, number in _TYPES.items()}


@dataclass(frozen=True)
class Blob:
    """A file identified by its content: ``sha256:...`` and the size in bytes."""

    digest: str
    size: int


class _Counted:
    """A file that computes the digest of the data written to it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._hash, self.size = file, hashlib.sha256(), 0

    def write(self, data: bytes) -> None:
        self._hash.update(data)
        self.size += len(data)
        self._file.write(data)

    def blob(self) -> Blob:
        return Blob(f"sha256:{self._hash.hexdigest()}", self.size)


def write(entries: Iterable[Entry], file: BinaryIO) -> Blob:
    """Write the entries in the given order; returns the resulting blob.

    Headers are plain ustar; a pax header is added if a name is too long for that or not ASCII.
    There are no user names, and every time is MTIME.
    """
    out = _Counted(file)
    for entry in entries:
        out.write(_header(entry))
        if entry.kind is Kind.FILE:
            out.write(entry.content)
            out.write(bytes(-len(entry.content) % tarfile.BLOCKSIZE))
    out.write(bytes(2 * tarfile.BLOCKSIZE))
    out.write(bytes(-out.size % tarfile.RECORDSIZE))
    return out.blob()


def read(path: Path, origin: str) -> Iterator[Entry]:
    """The entries of an archive written by `write`. Raises OciError for unsupported kinds."""
    with tarfile.open(path) as archive:
        for info in archive:
            kind = _KINDS.get(info.type)
            if kind is None:
                raise OciError(
                    f"{origin}: {info.name} is a device or pipe, which no image may hold"
                )
            content = archive.extractfile(info) if kind is Kind.FILE else None
            yield Entry(
                info.name,
                kind,
                info.mode,
                info.uid,
                info.gid,
                content.read() if content else b"",
                info.linkname,
                origin,
            )


def _header(entry: Entry) -> bytes:
    info = tarfile.TarInfo(entry.path)
    info.type = _TYPES[entry.kind]
    info.mode, info.uid, info.gid, info.mtime = entry.mode, entry.uid, entry.gid, MTIME
    info.linkname = entry.target
    info.size = len(entry.content) if entry.kind is Kind.FILE else 0
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
