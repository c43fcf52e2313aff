import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.oci import publish
from ops.oci.archive import index
from ops.oci.errors import OciError
from ops.oci.registry import Reference, Registry
from tests.ops.oci import registries
from tests.ops.oci.test_archive import build

BOM = "application/vnd.cyclonedx+json"
PROVENANCE = "application/vnd.in-toto+json"


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with registries.registry(tmp_path_factory.mktemp("registry")) as address:
        yield address


def test_registry_holds_the_digest_that_was_built(tmp_path: Path, host: str) -> None:
    built, archive = build(tmp_path)
    registry = Registry(Reference.parse(f"{host}/try/it:1"))
    assert publish.push(archive, registry) == built.digest
    by_tag, by_digest = registry.manifest("1"), registry.manifest(built.digest)
    assert by_tag == by_digest
    assert by_tag
    for layer in json.loads(by_tag)["layers"]:
        assert registry.has_blob(layer["digest"])


def test_index_brings_its_images(tmp_path: Path, host: str) -> None:
    amd64, one = build(tmp_path, "amd64")
    arm64, two = build(tmp_path, "arm64", tag="arm64")
    joined = index([one, two], "try/it:1", "//:index", tmp_path / "index.tar")
    registry = Registry(Reference.parse(f"{host}/try/both:1"))
    assert publish.push(tmp_path / "index.tar", registry) == joined.digest
    assert registry.manifest(amd64.digest)
    assert registry.manifest(arm64.digest)


def test_documents_refer_to_the_image_and_doing_it_twice_changes_nothing(
    tmp_path: Path, host: str
) -> None:
    built, archive = build(tmp_path)
    registry = Registry(Reference.parse(f"{host}/try/attached:1"))
    publish.push(archive, registry)
    for _ in range(2):
        publish.attach(built.digest, BOM, b'{"bom": 1}', registry)
        publish.attach(built.digest, PROVENANCE, b'{"made": "of"}', registry)
    found = {one["artifactType"]: one["digest"] for one in registry.referrers(built.digest)}
    assert set(found) == {BOM, PROVENANCE}
    assert len(registry.referrers(built.digest)) == 2
    manifest = json.loads(registry.manifest(found[BOM]) or b"")
    assert manifest["subject"]["digest"] == built.digest
    assert registry.has_blob(manifest["layers"][0]["digest"])


def test_document_for_an_image_that_is_not_there_is_refused(host: str) -> None:
    registry = Registry(Reference.parse(f"{host}/try/none:1"))
    with pytest.raises(OciError, match="push the image first"):
        publish.attach("sha256:" + "0" * 64, BOM, b"{}", registry)


def test_credentials_are_asked_for_and_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    built, archive = build(tmp_path)
    bom = tmp_path / "bom.json"
    bom.write_text("{}")
    with registries.registry(tmp_path, "ada", "secret") as address:
        arguments = [str(archive), f"{address}/try/it:1", "--attach", f"{BOM}={bom}"]
        monkeypatch.setenv("OCI_CREDENTIALS", "ada:wrong")
        assert publish.main(arguments) == 1
        assert "HTTP 401: give credentials that may push" in capsys.readouterr().err
        monkeypatch.setenv("OCI_CREDENTIALS", "ada:secret")
        assert publish.main(arguments) == 0
        assert capsys.readouterr().out.startswith(f"{address}/try/it@{built.digest}\n  {BOM} sha2")


@pytest.mark.parametrize("word", ["x", "type=none.json", "a/b=none.json"])
def test_attachment_that_is_none_is_refused(
    tmp_path: Path, host: str, word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    _, archive = build(tmp_path)
    assert publish.main([str(archive), f"{host}/try/it:1", "--attach", word]) == 1
    assert f"--attach {word}: expected is TYPE=FILE" in capsys.readouterr().err


def test_registry_that_is_not_there_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, archive = build(tmp_path)
    assert publish.main([str(archive), "127.0.0.1:1/try/it:1"]) == 1
    assert "oci: 127.0.0.1:1: HEAD /v2/try/it/blobs/sha256:" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["app:1", "host/app", "host/App:1", "https://host/app:1"])
def test_reference_without_all_its_parts_is_refused(text: str) -> None:
    with pytest.raises(OciError, match="is not HOST/NAME:TAG"):
        Reference.parse(text)


def test_other_files_are_refused(tmp_path: Path, host: str) -> None:
    with tarfile.open(tmp_path / "x.tar", "w"):
        pass
    with pytest.raises(OciError, match=r"no index.json in it, so it is no archive of an image"):
        publish.push(tmp_path / "x.tar", Registry(Reference.parse(f"{host}/a:1")))
