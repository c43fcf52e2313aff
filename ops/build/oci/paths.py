"""Paths inside an image: always relative to its root, always normal (``usr/bin/env``)."""

from pathlib import PurePosixPath

from ops.build.oci.errors import OciError

#: Debian's merged /usr: these names in the root are links, and packages still use some of them.
MERGED = {name: f"usr/{name}" for name in ("bin", "sbin", "lib", "lib32", "lib64", "libx32")}
#: The other links that Debian's base-files and init scripts create.
RUN = {"var/run": "run", "var/lock": "run/lock"}


def normal(path: str, where: str) -> str:
    """The normal form of a path in an image; a leading slash is dropped, the root itself is "".

    Raises OciError, which names ``where``, for a path that would leave the root.
    """
    pure = PurePosixPath(path.lstrip("/"))
    if ".." in pure.parts:
        raise OciError(
            f"{where}: {path!r} would leave the image's root; write it without '..' parts"
        )
    if "\0" in path:
        raise OciError(f"{where}: {path!r} has a NUL in it")
    text = str(pure)
    return "" if text == "." else text


def canonical(path: str) -> str:
    """A normal path with the links of Debian's layout resolved: ``lib/x`` becomes ``usr/lib/x``."""
    for link, target in RUN.items():
        if path.startswith(f"{link}/"):
            path = f"{target}/{path.removeprefix(f'{link}/')}"
    first, slash, rest = path.partition("/")
    if slash and first in MERGED:
        return f"{MERGED[first]}/{rest}"
    return path


def check_link(path: str, target: str, where: str) -> None:
    """Refuse a relative symbolic link that climbs above the root, or an empty one.

    An absolute target is inside the image: containers see it below their root.
    """
    if not target or "\0" in target:
        raise OciError(f"{where}: link {path} has no usable target: {target!r}")
    if target.startswith("/"):
        return
    depth = path.count("/")
    for part in target.split("/"):
        if part == "..":
            depth -= 1
        elif part not in ("", "."):
            depth += 1
        if depth < 0:
            raise OciError(
                f"{where}: link {path} -> {target} would leave the image's root; "
                "use fewer '..' or an absolute target"
            )


def parents(path: str) -> list[str]:
    """The parent folders of a path, outermost first, without the root."""
    parts = path.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]
