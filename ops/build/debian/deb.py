"""Reads and unpacks .deb files (deb(5)) without dpkg and without running maintainer scripts."""

import io
import os
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from tarfile import TarInfo

_MAGIC = b"!<arch>\n"
_HEADER = 60


class DebError(ValueError):
    """A file that is not a .deb, or one whose content must not be unpacked."""


def members(deb: Path) -> Iterator[tuple[TarInfo, bytes | None]]:
    """The entries of the package's file system, in archive order; content for regular files only.

    Names are relative to the root and normal (``usr/bin/env``); the root itself is omitted. Modes,
    owners, times and link targets are the archive's own. Raises DebError.
    """
    with _archive(deb, "data.tar") as archive:
        for info in archive:
            name = _normal(info.name, deb)
            if not name:
                continue
            info.name = name
            if info.islnk():
                info.linkname = _normal(info.linkname, deb)
            content = archive.extractfile(info) if info.isreg() else None
            yield info, content.read() if content else None


def control(deb: Path) -> str:
    """The package's control file (deb-control(5)). Raises DebError."""
    with _archive(deb, "control.tar") as archive:
        for info in archive:
            if _normal(info.name, deb) == "control" and (content := archive.extractfile(info)):
                return content.read().decode()
    raise DebError(f"{deb.name}: contains no control file")


def unpack(deb: Path, dest: Path) -> None:
    """Unpack the package's files below ``dest``; modes and links are kept, owners and times are
    not.

    A later package may add to folders of an earlier one. Anything that would be written outside
    ``dest``, by ``..`` or through a symbolic link, raises DebError; so do devices. A symbolic link
    may point anywhere, as it does on the target system.
    """
    dest.mkdir(parents=True, exist_ok=True)
    root = dest.resolve()
    for info, content in members(deb):
        target = root / info.name
        parent = target.parent.resolve()
        if not parent.is_relative_to(root):
            raise DebError(f"{deb.name}: {info.name} would be written outside of {dest}")
        parent.mkdir(parents=True, exist_ok=True)
        target = parent / target.name
        if info.isdir():
            if not target.is_dir():
                _clear(target)
                target.mkdir()
            if target.resolve().is_relative_to(root):
                # Writable by its owner, so that it can be filled and removed without root.
                target.chmod(info.mode & 0o7777 | 0o700)
        elif info.issym():
            _clear(target)
            target.symlink_to(info.linkname)
        elif info.islnk():
            source = root / info.linkname
            if not source.resolve().is_relative_to(root) or not source.exists():
                raise DebError(f"{deb.name}: {info.name} links to {info.linkname}, not in it")
            _clear(target)
            os.link(source.resolve(), target)
        elif content is not None:
            _clear(target)
            target.write_bytes(content)
            target.chmod(info.mode & 0o7777)
        else:
            raise DebError(f"{deb.name}: {info.name} is a device or pipe, which is not unpacked")


def _clear(target: Path) -> None:
    if target.is_symlink() or target.is_file():
        target.unlink()
    elif target.is_dir():
        shutil.rmtree(target)


def _normal(name: str, deb: Path) -> str:
    pure = PurePosixPath(name)
    if pure.is_absolute() or ".." in pure.parts:
        raise DebError(f"{deb.name}: entry {name!r} would be written outside of the root")
    return "" if str(pure) == "." else str(pure)


def _archive(deb: Path, part: str) -> tarfile.TarFile:
    """One of the two archives of a package: data.tar or control.tar, however compressed."""
    for name, content in _ar(deb):
        if name.startswith(part):
            try:
                return _open(name, content, deb)
            except (tarfile.TarError, EOFError, OSError) as error:
                raise DebError(f"{deb.name}: {name} cannot be read: {error}") from error
    raise DebError(f"{deb.name}: contains no {part}")


def _open(name: str, content: bytes, deb: Path) -> tarfile.TarFile:
    if name.endswith(".zst"):
        try:
            import zstandard
        except ImportError:
            raise DebError(f"{deb.name}: {name} needs the Python package zstandard") from None
        with zstandard.ZstdDecompressor().stream_reader(content) as reader:
            return tarfile.open(fileobj=io.BytesIO(reader.read()))
    return tarfile.open(fileobj=io.BytesIO(content))


def _ar(deb: Path) -> Iterator[tuple[str, bytes]]:
    """Members of an ar archive; .debs use only the short-name form."""
    with deb.open("rb") as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            raise DebError(f"{deb.name}: not a Debian package")
        while header := file.read(_HEADER):
            size = header[48:58].decode("ascii", "replace").strip()
            if len(header) != _HEADER or header[58:] != b"`\n" or not size.isdigit():
                raise DebError(f"{deb.name}: damaged package: bad member header")
            content = file.read(int(size))
            if len(content) != int(size):
                raise DebError(f"{deb.name}: damaged package: it ends early")
            file.read(int(size) % 2)
            yield header[:16].decode("ascii", "replace").strip().rstrip("/"), content
