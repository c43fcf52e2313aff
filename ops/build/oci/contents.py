"""The files in an image, read from its layers."""

import gzip
import io
import tarfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256

from ops.build.oci.entry import Entry, Kind
from ops.build.oci.errors import OciError

_WHITEOUT, _OPAQUE = ".wh.", ".wh..wh..opq"
_KINDS = {
    tarfile.REGTYPE: Kind.FILE,
    tarfile.AREGTYPE: Kind.FILE,
    tarfile.DIRTYPE: Kind.DIRECTORY,
    tarfile.SYMTYPE: Kind.SYMLINK,
    tarfile.LNKTYPE: Kind.HARDLINK,
}


@dataclass(frozen=True)
class File:
    """An entry of an image. ``identity`` is the SHA-256 of a file, or the target of a link.

    ``layer`` is the number of its layer, from 0 for the lowest.
    """

    kind: Kind
    mode: int
    uid: int
    gid: int
    size: int
    identity: str
    layer: int = 0


def unpacked(media_type: str, content: bytes, place: str) -> bytes:
    """The tar archive of a layer as a registry holds it. Raises OciError."""
    try:
        if content.startswith(b"\x28\xb5\x2f\xfd"):
            return _from_zstd(content)
        return gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise OciError(f"{place}: the layer ({media_type}) cannot be unpacked: {error}") from error


def _from_zstd(content: bytes) -> bytes:
    # The builder's other commands run without it.
    import zstandard

    try:
        with zstandard.ZstdDecompressor().stream_reader(io.BytesIO(content)) as stream:
            return stream.read()
    except zstandard.ZstdError as error:
        raise ValueError(str(error)) from error


def digest(content: bytes) -> str:
    """``sha256:...`` of some content."""
    return f"sha256:{sha256(content).hexdigest()}"


def entries(tar: bytes, place: str) -> Iterator[tuple[str, File, bytes]]:
    """The path, description and content of each entry of a layer. Raises OciError."""
    try:
        with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
            for info in archive:
                kind = _KINDS.get(info.type)
                if kind is None:
                    raise OciError(f"{place}: {info.name} is a device or pipe")
                member = archive.extractfile(info) if kind is Kind.FILE else None
                data = member.read() if member else b""
                known = sha256(data).hexdigest() if kind is Kind.FILE else info.linkname
                mode = info.mode & 0o7777
                file = File(kind, mode, info.uid, info.gid, len(data), known)
                yield info.name.removeprefix("./").strip("/"), file, data
    except tarfile.TarError as error:
        raise OciError(f"{place}: a layer is no tar archive: {error}") from error


def stacked(layers: Iterable[Iterable[tuple[str, File]]]) -> Mapping[str, File]:
    """The files of an image of these layers, lowest first; whiteouts remove what is below."""
    found: dict[str, File] = {}
    for number, layer in enumerate(layers):
        own: dict[str, File] = {}
        for path, file in layer:
            folder, _, name = path.rpartition("/")
            if name == _OPAQUE:
                _remove(found, folder, keep=True)
            elif name.startswith(_WHITEOUT):
                _remove(found, f"{folder}/{name.removeprefix(_WHITEOUT)}".lstrip("/"))
            elif path:
                own[path] = replace(file, layer=number)
        found.update(own)
    return found


def entry(path: str, file: File, content: bytes) -> Entry | None:
    """The entry that the search for packages reads; none for one that the build never writes."""
    if file.kind is Kind.HARDLINK or path.rpartition("/")[2].startswith(_WHITEOUT):
        return None
    target = file.identity if file.kind is Kind.SYMLINK else ""
    mode = 0o777 if file.kind is Kind.SYMLINK else file.mode
    return Entry(path, file.kind, mode, file.uid, file.gid, content, target)


def _remove(found: dict[str, File], path: str, *, keep: bool = False) -> None:
    for one in [one for one in found if one.startswith(f"{path}/") or (one == path and not keep)]:
        del found[one]
