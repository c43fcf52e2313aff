"""Checks the layers of an image against each other, before an engine buries one in another."""

from collections.abc import Iterable

from ops.oci import paths
from ops.oci.entry import Entry, Kind
from ops.oci.errors import OciError
from ops.oci.layer import Layer
from ops.oci.tree import clash


def check(layers: Iterable[Layer]) -> int:
    """The bytes of all files together, when no two layers disagree.

    Layers may repeat a folder or a file, as long as it is the same. Raises OciError, which names
    both layers, when one puts something else in a place that another has taken, below its file,
    or through its link.
    """
    seen: dict[str, Entry] = {}
    total = 0
    for layer in layers:
        for path, name, mode, uid, gid, size, identity in layer.files:
            kind = Kind(name)
            # Contents go by their digests.
            content, target = (identity.encode(), "") if kind is Kind.FILE else (b"", identity)
            known = Entry(path, kind, mode, uid, gid, content, target, layer.origin)
            old = seen.setdefault(path, known)
            if not old.same(known):
                raise OciError(clash(old, known))
            if old is known:
                total += size
    for entry in seen.values():
        for parent in paths.parents(entry.path):
            above = seen.get(parent)
            if above is not None and above.kind is not Kind.DIRECTORY:
                raise OciError(
                    f"{entry.origin} puts /{entry.path} below /{parent}, which is a "
                    f"{above.kind.value} of {above.origin}: use the path it stands for"
                )
    return total
