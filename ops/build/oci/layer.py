"""A layer on disk: its tar archive and a record that describes it."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path

from ops.build.oci import components, elf, tarball
from ops.build.oci.components import Component
from ops.build.oci.entry import Entry, Kind
from ops.build.oci.tarball import Blob

#: Layers are built as plain tar, and compressed when they are published (docs/decisions/0006).
MEDIA_TYPE = "application/vnd.oci.image.layer.v1.tar"


#: Path, kind, mode, user, group, size in bytes; SHA-256 of a file or target of a link.
type Row = tuple[str, str, int, int, int, int, str]


@dataclass(frozen=True)
class Layer:
    """``origin`` is the target that built it; ``architecture`` is that of its executables.

    ``components`` are its packages, for bills of materials; ``files`` lists its entries, so that
    layers are checked against each other without reading them.
    """

    origin: str
    comment: str
    architecture: str
    digest: str
    size: int
    executables: int
    tar: str
    components: tuple[Component, ...] = ()
    files: tuple[Row, ...] = ()

    @property
    def stored(self) -> "Stored":
        """The layer uncompressed, where its digest is also its diff ID."""
        return Stored(MEDIA_TYPE, self.digest, self.size, self.tar)


@dataclass(frozen=True)
class Stored:
    """A layer as an archive or a registry holds it; ``file`` is beside its record."""

    media_type: str
    digest: str
    size: int
    file: str

    @property
    def blob(self) -> Blob:
        """Its digest and size."""
        return Blob(self.digest, self.size)


def row(entry: Entry) -> Row:
    """The record's row for an entry."""
    known = sha256(entry.content).hexdigest() if entry.kind is Kind.FILE else entry.target
    size = len(entry.content)
    return (entry.path, entry.kind.value, entry.mode, entry.uid, entry.gid, size, known)


def write(
    entries: Iterable[Entry],
    record: Path,
    origin: str,
    comment: str,
    architecture: str,
    sources: Component | None = None,
) -> Layer:
    """Write ``record`` (a .json file) and the archive beside it (.tar). Raises OciError.

    ``sources`` is the component that the whole layer is, if it holds our sources: its SHA-256 is
    that of the archive.
    """
    ordered = list(entries)
    executables = elf.check(ordered, architecture, origin)
    found = components.find(ordered)
    archive = record.with_suffix(".tar")
    record.parent.mkdir(parents=True, exist_ok=True)
    with archive.open("wb") as file:
        blob = tarball.write(ordered, file)
    if sources:
        found = (replace(sources, sha256=blob.digest.removeprefix("sha256:")), *found)
    layer = Layer(
        origin,
        comment,
        architecture,
        blob.digest,
        blob.size,
        executables,
        archive.name,
        found,
        tuple(row(entry) for entry in ordered),
    )
    record.write_text(json.dumps(asdict(layer), sort_keys=True) + "\n")
    return layer


def read(record: Path) -> tuple[Layer, Path]:
    """Read a record; returns it with the path of its archive."""
    fields = json.loads(record.read_text())
    found = tuple(Component.restore(one) for one in fields.pop("components"))
    rows = tuple(tuple(one) for one in fields.pop("files"))
    layer = Layer(**fields, components=found, files=rows)
    return layer, record.parent / layer.tar
