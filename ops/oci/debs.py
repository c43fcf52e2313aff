"""Debian packages as parts of a tree: their files, and the records that scanners look for."""

import io
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path

from ops.debian import deb
from ops.debian.lock import Package
from ops.oci.tree import Entry, TreeError, normal_path

#: Folders that a merged-/usr system has as links (Debian's file system layout since trixie).
MERGED = {name: f"usr/{name}" for name in ("bin", "sbin", "lib", "lib64")}

#: Paths of which a container has no use. Copyright files stay: their licences ask for it.
UNUSED = (
    "usr/share/doc/*",
    "usr/share/doc-base/*",
    "usr/share/man/*",
    "usr/share/info/*",
    "usr/share/locale/*",
    "usr/share/lintian/*",
    "usr/share/bug/*",
    "usr/share/bash-completion/*",
    "usr/share/menu/*",
    "usr/share/pixmaps/*",
    "usr/share/applications/*",
    "usr/lib/systemd/*",
    "usr/lib/tmpfiles.d/*",
    "usr/lib/sysusers.d/*",
    "etc/init.d/*",
    "etc/default/*",
    "etc/cron.*",
    "etc/logrotate.d/*",
    "etc/apparmor.d/*",
    "usr/share/gcc/*",
    "usr/share/gdb/*",
)
_KEPT = "usr/share/doc/*/copyright"


def entries(package: Package, file: Path, exclude: tuple[str, ...]) -> Iterator[Entry]:
    """The files of a package, less what containers have no use for and what ``exclude`` matches.

    Hard links become files of their own. Directories come along only where something is in them
    or the package owns an empty one. Raises TreeError for devices and for paths out of the root.
    """
    origin = f"package {package.name} {package.version}"
    contents: dict[str, bytes] = {}
    for info, content in deb.members(file):
        path = merged(normal_path(info.name, origin))
        if content is not None:
            contents[path] = content
        if left_out(path, exclude):
            continue
        mode = info.mode & 0o7777
        entry = Entry(path, "file", mode, origin=origin)
        if info.isdir():
            if path not in MERGED:
                yield replace(entry, kind="directory", mode=mode & 0o1777, origin="")
        elif info.issym():
            if MERGED.get(path) != info.linkname:
                yield replace(entry, kind="symlink", mode=0o777, target=info.linkname)
        elif info.islnk():
            yield replace(entry, content=contents[merged(normal_path(info.linkname, origin))])
        elif content is not None:
            # No set-user-id program is of use where nobody may become root.
            yield replace(entry, mode=mode & 0o777, content=content)
        else:
            raise TreeError(f"{origin}: /{path} is a device or pipe; exclude it")


def merged(path: str) -> str:
    """The path on a system where /bin, /lib, /lib64 and /sbin are links into /usr."""
    first, _, rest = path.partition("/")
    return f"{MERGED[first]}/{rest}" if rest and first in MERGED else path


def left_out(path: str, exclude: tuple[str, ...]) -> bool:
    """True when a pattern matches the path or a folder above it (``*`` spans slashes)."""
    if fnmatchcase(path, _KEPT):
        return False
    return any(
        fnmatchcase(path, pattern) or path.startswith(f"{pattern.removesuffix('/*')}/")
        for pattern in (*UNUSED, *exclude)
    )


def record(package: Package, file: Path) -> list[Entry]:
    """What dpkg would know of the package, in the form in which image scanners read it.

    ``/var/lib/dpkg/status.d/NAME`` holds the control file, ``NAME.md5sums`` the files' sums: the
    custom of images without dpkg, known to the common scanners.
    """
    origin = f"package {package.name} {package.version}"
    control = _control(file)
    base = f"var/lib/dpkg/status.d/{package.name}"
    text = control["control"].rstrip(b"\n") + b"\n"
    status = [Entry(base, "file", 0o644, content=text, origin=origin)]
    if sums := control.get("md5sums"):
        status.append(Entry(f"{base}.md5sums", "file", 0o644, content=sums, origin=origin))
    return status


def _control(file: Path) -> dict[str, bytes]:
    # The reader of the outer archive is ops.debian's; it has no name for the control part yet.
    for name, content in deb._ar(file):
        if name.startswith("control.tar"):
            with deb._open(name, content, file) as archive:
                return {
                    normal_path(info.name, file.name): member.read()
                    for info in archive
                    if isinstance(info, tarfile.TarInfo)
                    and (member := archive.extractfile(info) or io.BytesIO())
                }
    raise TreeError(f"{file.name}: holds no control.tar, so it is no Debian package")
