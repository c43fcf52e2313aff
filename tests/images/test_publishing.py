"""A shipped index, published to a real registry with all its documents."""

import json
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from ops.build.oci import publish
from ops.build.oci.registry import Reference, Registry
from tests.images.archive import Archive
from tests.ops.build.oci import registries

BILL = "application/vnd.cyclonedx+json"
PROVENANCE = "application/vnd.in-toto+json"
INDEX, IMAGES = Archive("redis-index"), (Archive("redis"), Archive("redis-arm64"))


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry that holds the index, published as `./pants publish` does."""
    attached = [f"{PROVENANCE}=redis-index.provenance.json@{INDEX.digest}"]
    for image in IMAGES:
        attached.append(f"{BILL}={image.name}.cdx.json@{image.digest}")
        attached.append(f"{PROVENANCE}={image.name}.provenance.json@{image.digest}")
    with registries.registry(tmp_path_factory.mktemp("registry")) as host:
        reference = f"{host}/fastapi-base/redis:latest"
        words = [f"--attach={one}" for one in attached]
        assert publish.main([str(INDEX.file), reference, *words]) == 0
        yield Registry(Reference.parse(reference))


def _document(registry: Registry, digest: str) -> tuple[str, str]:
    """The digest of a referrer's document, and its subject."""
    manifest = json.loads(registry.manifest(digest) or b"")
    (layer,) = manifest["layers"]
    assert registry.has_blob(layer["digest"])
    return layer["digest"], manifest["subject"]["digest"]


def test_tag_names_the_index_that_was_built(registry: Registry) -> None:
    index = registry.manifest("latest")
    assert index == registry.manifest(INDEX.digest)
    assert json.loads(index or b"") == INDEX.manifest
    for image in IMAGES:
        assert json.loads(registry.manifest(image.digest) or b"") == image.manifest
        assert all(registry.has_blob(layer) for layer in image.layers)


def test_index_has_its_provenance(registry: Registry) -> None:
    assert [one["artifactType"] for one in registry.referrers(INDEX.digest)] == [PROVENANCE]


@pytest.mark.parametrize("image", IMAGES, ids=lambda image: image.name)
def test_each_image_has_its_bill_of_materials_and_provenance(
    registry: Registry, image: Archive
) -> None:
    found = {one["artifactType"]: one["digest"] for one in registry.referrers(image.digest)}
    assert set(found) == {BILL, PROVENANCE}
    for media_type, ending in ((BILL, "cdx.json"), (PROVENANCE, "provenance.json")):
        blob, subject = _document(registry, found[media_type])
        file = Path(f"{image.name}.{ending}")
        assert subject == image.digest
        assert blob == f"sha256:{sha256(file.read_bytes()).hexdigest()}"


def test_provenance_matches_the_digests_in_the_registry(registry: Registry) -> None:
    statement = json.loads(Path("redis-index.provenance.json").read_text())
    named = {f"sha256:{one['digest']['sha256']}" for one in statement["subject"]}
    assert INDEX.digest in named
    assert registry.manifest(INDEX.digest)
