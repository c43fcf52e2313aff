import gzip
import hashlib
import json
import sys
import tracemalloc
from pathlib import Path

import pytest
import zstandard

from ops.build.oci import archive, bytecode, compression, publish
from ops.build.oci.config import Config
from ops.build.oci.entry import file
from ops.build.oci.errors import OciError
from ops.build.oci.registry import Reference, Registry
from ops.dev import packages
from tests.ops.build.oci import registries, samples
from tests.ops.build.oci.test_archive import Read

KINDS = ("zstd", "gzip")
NUMBERS = b"".join(b"%d %d\n" % (number, number * number) for number in range(100_000))
LARGE = 64_000_000


def decompressed(data: bytes, kind: str) -> bytes:
    if kind == "gzip":
        return gzip.decompress(data)
    return zstandard.ZstdDecompressor().decompress(data)


def image(folder: Path, kind: str = "") -> tuple[archive.Built, Path]:
    """An image of two layers; compressed if a kind is given."""
    layers = [
        samples.made(folder, "base", file("x", b"0")),
        samples.made(folder, "top", file("y", NUMBERS)),
    ]
    compressed = []
    for layer, path in layers if kind else []:
        record = folder / kind / f"{layer.comment}.json"
        compression.write(kind, path.with_suffix(".json"), record, bytecode.own())
        # An archive of compressed layers needs only the records of the layers.
        path.unlink()
        compressed.append(compression.read(record))
    output = folder / f"{kind or 'plain'}.oci.tar"
    named = "linux/amd64", "try/it:1", "//:image", output
    return archive.image(Config(entrypoint=["/y"]), layers, *named, compressed), output


@pytest.mark.parametrize("kind", KINDS)
def test_image_id_and_content_are_those_of_the_uncompressed_image(
    tmp_path: Path, kind: str
) -> None:
    plain, _ = image(tmp_path)
    built, output = image(tmp_path, kind)
    assert built.image_id == plain.image_id
    assert built.digest != plain.digest
    read = Read(output)
    (top,) = read.document("index.json")["manifests"]
    manifest = json.loads(read.blob(top))
    config = json.loads(read.blob(manifest["config"]))
    assert {layer["mediaType"] for layer in manifest["layers"]} == {
        f"application/vnd.oci.image.layer.v1.tar+{kind}"
    }
    assert config["rootfs"]["diff_ids"] == [
        f"sha256:{hashlib.sha256(decompressed(read.blob(layer), kind)).hexdigest()}"
        for layer in manifest["layers"]
    ]
    assert [layer["digest"] for layer in manifest["layers"]] == list(built.layers)
    assert manifest["layers"][1]["size"] < len(NUMBERS) / 2
    (docker,) = read.document("manifest.json")
    assert set(docker["Layers"]) <= set(read.files)


@pytest.mark.parametrize("kind", KINDS)
def test_registry_accepts_compressed_layers(tmp_path: Path, kind: str) -> None:
    built, output = image(tmp_path, kind)
    with registries.registry(tmp_path) as host:
        registry = Registry(Reference.parse(f"{host}/try/it:1"))
        assert publish.push(output, registry) == built.digest
        assert all(registry.has_blob(layer) for layer in built.layers)


@pytest.mark.parametrize(
    ("kind", "digest"),
    [
        ("zstd", "adc2f43ed399dca613f5ab5ca6a1e3e3bf206b9c04dd60ea2f4b64524e1b9dda"),
        ("gzip", "c2875010dbf6a39fc54714126148bb93c25e0ecb503e0551cc05202b7baf1599"),
    ],
)
def test_bytes_are_the_same_on_every_machine(tmp_path: Path, kind: str, digest: str) -> None:
    # A new digest here is a new digest of every published image: state it in CHANGELOG.md.
    samples.made(tmp_path, "layer", file("numbers", NUMBERS))
    root = packages.root("image-python", "the interpreter of images")
    interpreter = bytecode.locked(root, "//:image")
    stored = compression.write(kind, tmp_path / "layer.json", tmp_path / "out.json", interpreter)
    assert stored.digest == f"sha256:{digest}"


def test_large_layers_are_compressed_and_pushed_in_bounded_memory(tmp_path: Path) -> None:
    layer = samples.made(tmp_path, "large", file("x", bytes(LARGE)))
    output = tmp_path / "large.oci.tar"
    archive.image(Config(), [layer], "linux/amd64", "try/it:1", "//:image", output)
    with registries.registry(tmp_path) as host:
        tracemalloc.start()
        try:
            record = tmp_path / "large.json"
            compression.write("zstd", record, tmp_path / "out.json", bytecode.NONE)
            publish.push(output, Registry(Reference.parse(f"{host}/try/it:1")))
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < LARGE / 8


def test_unknown_compression_is_refused(tmp_path: Path) -> None:
    samples.made(tmp_path, "layer")
    with pytest.raises(OciError, match="compression: 'xz' is not one of zstd, gzip"):
        compression.write("xz", tmp_path / "layer.json", tmp_path / "out.json", bytecode.own())


def test_failing_interpreter_is_reported(tmp_path: Path) -> None:
    samples.made(tmp_path, "layer")
    broken = bytecode.Compiler((sys.executable, "-c", "import sys; sys.exit('no'); "))
    with pytest.raises(OciError, match=r"deflate.py ended with exit code 1: no"):
        compression.write("gzip", tmp_path / "layer.json", tmp_path / "out.json", broken)
