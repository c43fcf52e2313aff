"""Checks the layers of an image for conflicts before an engine stacks them."""

from collections.abc import Iterable

from ops.build.oci import paths
from ops.build.oci.entry import Entry, Kind
from ops.build.oci.errors import OciError
from ops.build.oci.layer import Layer
from ops.build.oci.tree import clash


def check(layers: Iterable[Layer]) -> int:
    """The total size of all files, if no two layers conflict.

    Layers may repeat a folder or a file if it is identical. Raises OciError, which names both
    layers, if one puts something else at a path of another, below its file, or through its link.
    """
    seen: dict[str, Entry] = {}
    total = 0
    for layer in layers:
        for path, name, mode, uid, gid, size, identity in layer.files:
            kind = Kind(name)
            # Contents are compared by digest.
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
