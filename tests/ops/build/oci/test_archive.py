import hashlib
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from ops.build.oci import archive
from ops.build.oci.config import Config
from ops.build.oci.entry import file
from ops.build.oci.errors import OciError
from ops.build.oci.layer import read
from tests.ops.build.oci import samples
from tests.ops.build.oci.samples import build


class Read:
    """An archive as an engine reads it: every blob by its digest."""

    def __init__(self, path: Path) -> None:
        with tarfile.open(path) as tar:
            self.files = {m.name: tar.extractfile(m).read() for m in tar if m.isfile()}  # type: ignore[union-attr]

    def document(self, name: str) -> Any:
        return json.loads(self.files[name])

    def blob(self, descriptor: dict[str, Any]) -> bytes:
        data = self.files["blobs/" + descriptor["digest"].replace(":", "/")]
        assert "sha256:" + hashlib.sha256(data).hexdigest() == descriptor["digest"]
        assert len(data) == descriptor["size"]
        return data


def test_archive_is_an_oci_layout_with_valid_digests(tmp_path: Path) -> None:
    built, output = build(tmp_path)
    read = Read(output)
    assert read.document("oci-layout") == {"imageLayoutVersion": "1.0.0"}
    (top,) = read.document("index.json")["manifests"]
    assert top["digest"] == built.digest
    assert top["platform"] == {"os": "linux", "architecture": "amd64"}
    manifest = json.loads(read.blob(top))
    config = json.loads(read.blob(manifest["config"]))
    assert manifest["config"]["digest"] == built.image_id
    # Uncompressed, so a layer has the same digest in both documents.
    assert config["rootfs"]["diff_ids"] == [one["digest"] for one in manifest["layers"]]
    assert tuple(config["rootfs"]["diff_ids"]) == built.layers
    for layer in manifest["layers"]:
        assert layer["mediaType"] == "application/vnd.oci.image.layer.v1.tar"
        read.blob(layer)


def test_archive_works_with_docker_load(tmp_path: Path) -> None:
    built, output = build(tmp_path)
    read = Read(output)
    (image,) = read.document("manifest.json")
    assert image["RepoTags"] == ["try/it:1"]
    assert hashlib.sha256(read.files[image["Config"]]).hexdigest() in built.image_id
    assert [
        "sha256:" + hashlib.sha256(read.files[path]).hexdigest() for path in image["Layers"]
    ] == list(built.layers)


def test_archive_has_the_full_reference_for_podman_load(tmp_path: Path) -> None:
    _, output = build(tmp_path)
    (top,) = Read(output).document("index.json")["manifests"]
    assert top["annotations"] == {"org.opencontainers.image.ref.name": "try/it:1"}


def test_annotations_change_the_digest_and_not_the_image_id(tmp_path: Path) -> None:
    plain, output = build(tmp_path)
    layers = [read(tmp_path / f"{name}-amd64.json") for name in ("base", "top")]
    named = "linux/amd64", "try/it:1", "//:image", tmp_path / "annotated.tar"
    how = Config(entrypoint=["/y"], user="app")
    noted = archive.image(how, layers, *named, annotations={"revision": "1"})
    assert noted.image_id == plain.image_id
    assert noted.digest != plain.digest
    (top,) = Read(named[-1]).document("index.json")["manifests"]
    assert json.loads(Read(named[-1]).blob(top))["annotations"] == {"revision": "1"}
    assert "annotations" not in json.loads(
        Read(output).blob(Read(output).document("index.json")["manifests"][0])
    )


def test_build_is_independent_of_the_directory(tmp_path: Path) -> None:
    _, one = build(tmp_path / "one")
    _, two = build(tmp_path / "somewhere-else")
    assert one.read_bytes() == two.read_bytes()


def test_change_in_the_last_layer_keeps_the_other_layers(tmp_path: Path) -> None:
    before, _ = build(tmp_path / "one", content=b"1")
    after, _ = build(tmp_path / "two", content=b"2")
    assert before.layers[0] == after.layers[0]
    assert before.layers[1] != after.layers[1]
    assert before.digest != after.digest


def test_index_joins_platforms_and_keeps_image_digests(tmp_path: Path) -> None:
    amd64, one = build(tmp_path, "amd64")
    arm64, two = build(tmp_path, "arm64", tag="1-arm64")
    output = tmp_path / "index.tar"
    built = archive.index([two, one], "try/it:1", "//:index", output)
    read = Read(output)
    (top,) = read.document("index.json")["manifests"]
    assert top["digest"] == built.digest
    index = json.loads(read.blob(top))
    assert [(m["platform"]["architecture"], m["digest"]) for m in index["manifests"]] == [
        ("amd64", amd64.digest),
        ("arm64", arm64.digest),
    ]
    assert [one["RepoTags"] for one in read.document("manifest.json")] == [
        ["try/it:1"],
        ["try/it:1-arm64"],
    ]
    for manifest in index["manifests"]:
        read.blob(manifest)
    again = archive.index([one, two], "try/it:1", "//:index", tmp_path / "again.tar")
    assert again == built
    assert (tmp_path / "again.tar").read_bytes() == output.read_bytes()
    noted = archive.index([one, two], "try/it:1", "//:index", tmp_path / "x.tar", {"revision": "1"})
    index = json.loads(Read(tmp_path / "x.tar").files[f"blobs/{noted.digest.replace(':', '/')}"])
    assert index["annotations"] == {"revision": "1"}
    assert [one["digest"] for one in index["manifests"]] == [amd64.digest, arm64.digest]


def test_index_with_a_duplicate_platform_or_tag_is_refused(tmp_path: Path) -> None:
    _, one = build(tmp_path, "amd64")
    _, two = build(tmp_path, "arm64")
    with pytest.raises(OciError, match="//:index: images: two are for linux/amd64"):
        archive.index([one, one], "try/it:1", "//:index", tmp_path / "index.tar")
    with pytest.raises(OciError, match="//:index: images: two are named try/it:1"):
        archive.index([one, two], "try/it:1", "//:index", tmp_path / "index.tar")
    with pytest.raises(OciError, match="//:index: images: an index joins two images or more"):
        archive.index([one], "try/it:1", "//:index", tmp_path / "index.tar")


def test_layer_of_another_architecture_is_refused(tmp_path: Path) -> None:
    layer = samples.made(tmp_path, "app", file("x", b""), architecture="arm64")
    with pytest.raises(OciError, match="//:image: layer //:app is for arm64, not linux/amd64"):
        archive.image(Config(), [layer], "linux/amd64", "a:1", "//:image", tmp_path / "x.tar")


def test_modified_layer_is_refused(tmp_path: Path) -> None:
    record, tar = samples.made(tmp_path, "app", file("x", b"1"))
    tar.write_bytes(tar.read_bytes().replace(b"1" + bytes(511), b"2" + bytes(511)))
    with pytest.raises(OciError, match="was changed since it was made"):
        archive.image(
            Config(), [(record, tar)], "linux/amd64", "a:1", "//:image", tmp_path / "x.tar"
        )


@pytest.mark.parametrize("reference", ["Upper:1", "no-tag", "a:b:c", "a//b:1", "a:-x", ":1"])
def test_invalid_reference_is_refused(tmp_path: Path, reference: str) -> None:
    layer = samples.made(tmp_path, "app", file("x", b""))
    with pytest.raises(OciError, match=r"//:image: .* is not a name that engines take"):
        archive.image(Config(), [layer], "linux/amd64", reference, "//:image", tmp_path / "x.tar")


def test_image_without_layers_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OciError, match="//:image: has no layer"):
        archive.image(Config(), [], "linux/amd64", "a:1", "//:image", tmp_path / "x.tar")
