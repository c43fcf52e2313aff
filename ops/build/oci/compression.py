"""Compresses layers for registries, to the same bytes on every machine.

A configuration names its layers by their uncompressed digests, so the image id is the same with and
without compression; the digest of the manifest is not. zstd is the one of the locked wheel; zlib is
that of the locked interpreter, since the machine's may be another version or a replacement. Levels
and the single thread are fixed, because they influence the bytes.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from hashlib import file_digest
from pathlib import Path

from ops.build.oci import deflate, layer
from ops.build.oci.bytecode import Compiler
from ops.build.oci.errors import OciError
from ops.build.oci.layer import Stored

#: The highest level without the settings for which a reader must reserve more than 8 MB.
ZSTD_LEVEL = 19


def write(kind: str, record: Path, output: Path, interpreter: Compiler) -> Stored:
    """Compress the layer of ``record`` to a file beside ``output``, which is a new record (.json).

    ``interpreter`` runs zlib. Raises OciError for an unknown ``kind`` and for a failure.
    """
    if kind not in _KINDS:
        raise OciError(f"compression: {kind!r} is not one of {', '.join(_KINDS)}")
    suffix, compress = _KINDS[kind]
    _, source = layer.read(record)
    target = output.with_suffix(f".tar{suffix}")
    target.parent.mkdir(parents=True, exist_ok=True)
    compress(source, target, interpreter)
    with target.open("rb") as file:
        digest = file_digest(file, "sha256").hexdigest()
    stored = Stored(
        f"{layer.MEDIA_TYPE}+{kind}", f"sha256:{digest}", target.stat().st_size, target.name
    )
    output.write_text(json.dumps(asdict(stored), sort_keys=True) + "\n")
    return stored


def read(record: Path) -> tuple[Stored, Path]:
    """Read a record of `write`; returns it with the path of its file."""
    stored = Stored(**json.loads(record.read_text()))
    return stored, record.parent / stored.file


def _zstd(source: Path, target: Path, _: Compiler) -> None:
    # The builder's other commands run without it.
    import zstandard

    compressor = zstandard.ZstdCompressor(level=ZSTD_LEVEL, threads=0)
    with source.open("rb") as read_from, target.open("wb") as write_to:
        compressor.copy_stream(read_from, write_to, size=source.stat().st_size)


def _gzip(source: Path, target: Path, interpreter: Compiler) -> None:
    with source.open("rb") as read_from, target.open("wb") as write_to:
        interpreter.run(deflate.__file__, stdin=read_from, stdout=write_to)


type _Compress = Callable[[Path, Path, Compiler], None]
_KINDS: Mapping[str, tuple[str, _Compress]] = {"zstd": (".zst", _zstd), "gzip": (".gz", _gzip)}
