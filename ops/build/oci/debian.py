"""A root file system from Debian packages: unpacked, never installed; no script is run."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from tarfile import TarInfo

from ops.build.debian import deb as debian
from ops.build.oci import control, paths
from ops.build.oci.bytecode import Compiler, compiled
from ops.build.oci.entry import Entry, directory, file, hardlink, symlink
from ops.build.oci.errors import OciError
from ops.build.oci.system import CERTIFICATES, account_files, base_files, certificates
from ops.build.oci.tree import Tree

#: Excluded from every image: files for people or for a running system, not for a program in a
#: container. Copyright files are kept, as their licences require.
OMIT = (
    "usr/share/man/*",
    "usr/share/info/*",
    "usr/share/locale/*",
    "usr/share/lintian/*",
    "usr/share/bug/*",
    "usr/share/doc-base/*",
    "usr/share/menu/*",
    "usr/share/pixmaps/*",
    "usr/share/applications/*",
    "usr/share/bash-completion/*",
    "usr/share/debconf/*",
    "usr/share/gcc/*",
    "usr/share/gdb/*",
    "usr/share/python-wheels/*",
    "usr/lib/systemd/*",
    "usr/lib/tmpfiles.d/*",
    "usr/lib/sysusers.d/*",
    "usr/share/base-files/*",
    "etc/apt/*",
    "etc/cron*",
    "etc/default/*",
    "etc/dpkg/*",
    "etc/init.d/*",
    "etc/logrotate.d/*",
    "etc/motd*",
    "etc/pam.d/*",
    "etc/profile.d/*",
    "etc/update-motd.d/*",
)
_DOC = "usr/share/doc/"


@dataclass(frozen=True)
class Rootfs:
    """The contents of a layer of Debian packages.

    ``base`` adds what a bare system needs besides packages: the links of merged /usr, accounts,
    name service, certificates. ``users`` maps a name to its number, ``directories`` a path to
    ``UID:GID:MODE``, ``links`` a path to its target. ``omit`` holds patterns (fnmatch) of paths
    without the leading slash. ``bytecode`` holds folders whose Python sources are compiled.
    """

    origin: str
    debs: Sequence[Path]
    base: bool = False
    users: Mapping[str, str] = field(default_factory=dict)
    directories: Mapping[str, str] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    omit: Sequence[str] = ()
    bytecode: Sequence[str] = ()


def rootfs(spec: Rootfs, compiler: Compiler) -> Tree:
    """The file system of the packages. Raises OciError, or DebError for a damaged package."""
    tree = Tree(_shaped(spec))
    packaged = list(tree.entries()) if spec.debs else []
    if spec.base:
        for entry in base_files(spec.origin):
            tree.replace(entry)
        for entry in account_files(spec.users, spec.origin):
            tree.add(entry)
    elif spec.users:
        raise OciError(
            f"{spec.origin}: users may be given only where no base is, since /etc/passwd is one "
            "file of the lowest layer; move them there"
        )
    if any(entry.path.startswith(CERTIFICATES) for entry in packaged):
        for entry in certificates(packaged, spec.origin):
            tree.add(entry)
    for path, target in spec.links.items():
        tree.add(symlink(_path(path, spec.origin), target, spec.origin))
    for path, access in spec.directories.items():
        tree.replace(_directory(path, access, spec.origin))
    for folder in spec.bytecode:
        prefix = _path(folder, spec.origin) + "/"
        sources = [entry for entry in packaged if entry.path.startswith(prefix)]
        if not sources:
            raise OciError(f"{spec.origin}: bytecode: no package brings {folder}")
        for entry in compiled(sources, compiler):
            tree.add(entry)
    return tree


def _shaped(spec: Rootfs) -> Iterator[Entry]:
    used: set[str] = set()
    for path in spec.debs:
        fields = control.fields(path)
        origin = f"{spec.origin} ({fields['package']})"
        for info, content in debian.members(path):
            name = paths.canonical(paths.normal(info.name, origin))
            if name in paths.MERGED or name in paths.RUN or _left_out(name, info):
                continue
            pattern = next((one for one in spec.omit if fnmatchcase(name, one)), None)
            if pattern is None:
                yield _entry(name, info, content, origin)
            else:
                used.add(pattern)
        yield file(
            f"var/lib/dpkg/status.d/{fields['package']}",
            control.status(fields, hashlib.sha256(path.read_bytes()).hexdigest()).encode(),
            origin=origin,
        )
    if spec.debs and (unused := [one for one in spec.omit if one not in used]):
        raise OciError(
            f"{spec.origin}: omit: {unused[0]!r} fits no path of the packages; remove it"
        )


def _left_out(name: str, info: TarInfo) -> bool:
    if name.startswith(_DOC):
        below = name.removeprefix(_DOC)
        return not (info.isdir() or below.endswith("/copyright") or "/" not in below)
    return any(fnmatchcase(f"{name}/" if info.isdir() else name, one) for one in OMIT)


def _entry(name: str, info: TarInfo, content: bytes | None, origin: str) -> Entry:
    if info.isdir():
        return directory(name, _directory_mode(info.mode), origin=origin)
    if info.issym():
        return symlink(name, info.linkname, origin)
    if info.islnk():
        return hardlink(name, paths.canonical(info.linkname), origin)
    if content is None:
        raise OciError(f"{origin}: /{name} is a device or pipe, which no image may hold")
    # No setuid bit is kept: nothing in an image may gain privileges.
    return file(name, content, info.mode, origin)


def _directory_mode(mode: int) -> int:
    if mode & 0o1002 == 0o1002:
        return 0o1777
    return 0o755 if mode & 0o055 else 0o700


def _path(path: str, origin: str) -> str:
    return paths.canonical(paths.normal(path, origin))


def _directory(path: str, access: str, origin: str) -> Entry:
    parts = access.split(":")
    try:
        uid, gid, mode = int(parts[0]), int(parts[1]), int(parts[2], 8)
    except (IndexError, ValueError):
        raise OciError(
            f"{origin}: directories: {path!r} has {access!r} where UID:GID:MODE is expected, "
            "such as 10001:10001:0750"
        ) from None
    return directory(_path(path, origin), mode, uid, gid, origin)


def chosen(debs: Iterable[Path], names: Iterable[str]) -> list[Path]:
    """The existing files among those named; raises OciError for a missing one."""
    there = {path.name: path for path in debs}
    if missing := sorted(set(names) - set(there)):
        raise OciError(f"{missing[0]} was not handed to the builder")
    return [there[name] for name in sorted(names)]
