"""A layer on disk: its tar archive, and beside it a record of what it is."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from ops.oci import elf, tarball
from ops.oci.entry import Entry
from ops.oci.tarball import Blob

#: Layers are plain tar: the bytes of a compressed one hang on the compressor's version, and older
#: engines read no compression that has only one implementation (docs/decisions/0006).
MEDIA_TYPE = "application/vnd.oci.image.layer.v1.tar"


@dataclass(frozen=True)
class Layer:
    """``origin`` is the target that made it; ``architecture`` is what its executables are for."""

    origin: str
    comment: str
    architecture: str
    digest: str
    size: int
    executables: int
    tar: str

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
    archive = record.with_suffix(".tar")
    record.parent.mkdir(parents=True, exist_ok=True)
    with archive.open("wb") as file:
        blob = tarball.write(ordered, file)
    layer = Layer(origin, comment, architecture, blob.digest, blob.size, executables, archive.name)
    record.write_text(json.dumps(asdict(layer), indent=1, sort_keys=True) + "\n")
    return layer


def read(record: Path) -> tuple[Layer, Path]:
    """A record and the place of its archive."""
    layer = Layer(**json.loads(record.read_text()))
    return layer, record.parent / layer.tar
