"""An entry of an image: one path and what it holds."""

import stat
from dataclasses import dataclass, replace
from enum import Enum

from ops.build.oci import paths
from ops.build.oci.errors import OciError


class Kind(Enum):
    """The file types that an image may contain; devices, pipes and sockets are excluded."""

    FILE = "file"
    DIRECTORY = "folder"
    SYMLINK = "symbolic link"
    HARDLINK = "hard link"


@dataclass(frozen=True)
class Entry:
    """A file, folder or link. ``mode`` holds only permission bits; a link's is always 0o777.

    ``target`` is a symbolic link's text, or the normal path of the file that a hard link refers to.
    ``origin`` says where the entry came from, for messages; entries that differ only in it are
    equal.
    """

    path: str
    kind: Kind
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    content: bytes = b""
    target: str = ""
    origin: str = ""

    def __post_init__(self) -> None:
        if not self.path or paths.normal(self.path, self.origin or "entry") != self.path:
            raise OciError(f"{self.origin}: {self.path!r} is not a normal path in an image")
        if self.mode & ~0o7777:
            raise OciError(f"{self.origin}: {self.path}: {self.mode:o} has more than mode bits")
        if self.path.rsplit("/", 1)[-1].startswith(".wh."):
            raise OciError(
                f"{self.origin}: {self.path} would hide files of lower layers: "
                "leave the files out of the layer that brings them"
            )
        if self.kind is Kind.SYMLINK:
            paths.check_link(self.path, self.target, self.origin)
        if self.kind is Kind.HARDLINK:
            paths.normal(self.target, self.origin)

    def same(self, other: "Entry") -> bool:
        """Whether both put the same content at the same path."""
        return replace(self, origin="") == replace(other, origin="")

    def difference(self, other: "Entry") -> str:
        """A short description of how ``other`` differs from this entry of the same path."""
        if self.kind is not other.kind:
            return f"one is a {self.kind.value}, the other a {other.kind.value}"
        if self.target != other.target:
            return f"one points to {self.target}, the other to {other.target}"
        if (self.mode, self.uid, self.gid) != (other.mode, other.uid, other.gid):
            return f"one is {_owner(self)}, the other {_owner(other)}"
        return "their contents differ"


def file(path: str, content: bytes, mode: int = 0o644, origin: str = "") -> Entry:
    """A regular file owned by root; the mode is 0644 or 0755, from its owner's execute bit."""
    return Entry(path, Kind.FILE, normal_mode(mode), content=content, origin=origin)


def directory(path: str, mode: int = 0o755, uid: int = 0, gid: int = 0, origin: str = "") -> Entry:
    """A folder."""
    return Entry(path, Kind.DIRECTORY, mode, uid, gid, origin=origin)


def symlink(path: str, target: str, origin: str = "") -> Entry:
    """A symbolic link."""
    return Entry(path, Kind.SYMLINK, 0o777, target=target, origin=origin)


def hardlink(path: str, target: str, origin: str = "") -> Entry:
    """A hard link to the file ``target`` of the same layer."""
    return Entry(path, Kind.HARDLINK, 0o777, target=target, origin=origin)


def normal_mode(mode: int) -> int:
    """0755 if its owner may execute it, else 0644, whatever the umask."""
    return 0o755 if mode & stat.S_IXUSR else 0o644


def _owner(entry: Entry) -> str:
    return f"{entry.mode:04o} {entry.uid}:{entry.gid}"
