"""A file system under construction: entries by path; conflicts are detected on addition."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from ops.build.oci import paths
from ops.build.oci.entry import Entry, Kind, directory
from ops.build.oci.errors import OciError


class Tree:
    """Entries by path. Missing parent folders are created.

    The order of additions does not affect the result.
    """

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self._entries: dict[str, Entry] = {}
        for entry in entries:
            self.add(entry)

    def __contains__(self, path: str) -> bool:
        return path in self._entries

    def __getitem__(self, path: str) -> Entry:
        return self._entries[path]

    def add(self, entry: Entry) -> None:
        """Add an entry. Raises OciError if its path already holds something else."""
        old = self._entries.get(entry.path)
        if old is not None and not old.same(entry):
            raise OciError(clash(old, entry))
        if old is None or entry.origin < old.origin:
            self._entries[entry.path] = entry

    def replace(self, entry: Entry) -> None:
        """Replace whatever the entry's path holds."""
        self._entries[entry.path] = entry

    def entries(self) -> Iterator[Entry]:
        """All entries sorted by path, so folders come before their content; hard links last.

        Raises OciError for an entry below a file or link, and for a dangling hard link.
        """
        complete = dict(self._entries)
        for entry in self._entries.values():
            for parent in paths.parents(entry.path):
                above = complete.setdefault(parent, directory(parent, origin=entry.origin))
                if above.kind is not Kind.DIRECTORY:
                    raise OciError(
                        f"{entry.path} (of {entry.origin}) lies below {parent}, which is a "
                        f"{above.kind.value} (of {above.origin}): use the path it stands for"
                    )
            if entry.kind is Kind.HARDLINK:
                first = self._entries.get(entry.target)
                if first is None or first.kind is not Kind.FILE:
                    raise OciError(
                        f"{entry.path} (of {entry.origin}) is a hard link to {entry.target}, "
                        "which is no file of the same layer"
                    )
                # Unpacking may set them again through either name.
                complete[entry.path] = replace(entry, mode=first.mode, uid=first.uid, gid=first.gid)
        # In the order of names as bytes, independent of the locale.
        ordered = sorted(
            complete.values(), key=lambda e: (e.kind is Kind.HARDLINK, e.path.encode())
        )
        yield from ordered


def clash(one: Entry, other: Entry) -> str:
    """The message for two conflicting entries of a path."""
    return (
        f"{one.origin} and {other.origin} disagree on /{one.path}: "
        f"{one.difference(other)}. Leave the file out of one of them, or make them agree"
    )
