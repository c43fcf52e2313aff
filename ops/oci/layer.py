"""A layer on disk: its tar archive, and beside it a record of what it is."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from ops.oci import components, elf, tarball
from ops.oci.components import Component
from ops.oci.entry import Entry
from ops.oci.tarball import Blob

#: Layers are plain tar: the bytes of a compressed one hang on the compressor's version, and older
#: engines read no compression that has only one implementation (docs/decisions/0006).
MEDIA_TYPE = "application/vnd.oci.image.layer.v1.tar"


@dataclass(frozen=True)
class Layer:
    """``origin`` is the target that made it; ``architecture`` is what its executables are for.

    ``components`` are the packages in it, for bills of materials.
    """

    origin: str
    comment: str
    architecture: str
    digest: str
    size: int
    executables: int
    tar: str
    components: tuple[Component, ...] = ()

    @property
    def blob(self) -> Blob:
        """What the layer's archive is known by; uncompressed, so this is its diff id, too."""
        return Blob(self.digest, self.size)


def write(
    entries: Iterable[Entry], record: Path, origin: str, comment: str, architecture: str
) -> Layer:
    """Write ``record`` (a .json file) and the archive beside it (.tar). Raises OciError."""
    ordered = list(entries)
    executables = elf.check(ordered, architecture, origin)
    found = components.find(ordered)
    archive = record.with_suffix(".tar")
    record.parent.mkdir(parents=True, exist_ok=True)
    with archive.open("wb") as file:
        blob = tarball.write(ordered, file)
    layer = Layer(
        origin, comment, architecture, blob.digest, blob.size, executables, archive.name, found
    )
    record.write_text(json.dumps(asdict(layer), indent=1, sort_keys=True) + "\n")
    return layer


def read(record: Path) -> tuple[Layer, Path]:
    """A record and the place of its archive."""
    fields = json.loads(record.read_text())
    found = tuple(
        Component(**{**one, "licences": tuple(one["licences"])}) for one in fields.pop("components")
    )
    layer = Layer(**fields, components=found)
    return layer, record.parent / layer.tar
