import hashlib
import json
from pathlib import Path
from typing import Any

from ops.build.oci import provenance
from ops.build.oci.layer import read
from tests.ops.build.oci import samples
from tests.ops.build.oci.test_sbom import DIGEST, LOCK, content

DEBIAN_LOCK = (
    b"# a lock\namd64 one 1.0-1 10 " + b"5" * 64 + b" pool/main/o/one/one.deb\n"
    b"amd64 two 1.0-1 10 " + b"6" * 64 + b" pool/main/t/two/two.deb\n"
)
FORM = {"compression": "zstd", "annotations": {"org.opencontainers.image.version": "1"}}
LOCKS = {"app.lock": LOCK.encode(), "debian.lock": DEBIAN_LOCK}


def statement(folder: Path) -> str:
    layer, _ = samples.made(folder, "layer", *content())
    return provenance.image(
        "//:api", DIGEST, "try/it:1", "linux/amd64", [layer], LOCKS, "urn:example:machine", FORM
    )


def definition(text: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(text)["predicate"]["buildDefinition"]
    return found


def test_statement_has_the_digest_as_its_subject(tmp_path: Path) -> None:
    document = json.loads(statement(tmp_path))
    assert document["_type"] == "https://in-toto.io/Statement/v1"
    assert document["predicateType"] == "https://slsa.dev/provenance/v1"
    assert document["subject"] == [{"name": "try/it", "digest": {"sha256": "ab" * 32}}]
    assert document["predicate"]["runDetails"]["builder"] == {"id": "urn:example:machine"}


def test_parameters_are_the_command_line_of_a_rebuild(tmp_path: Path) -> None:
    parameters = definition(statement(tmp_path))["externalParameters"]
    assert parameters == {
        "target": "//:api",
        "platform": "linux/amd64",
        "compression": "zstd",
        "annotations": {"org.opencontainers.image.version": "1"},
    }


def test_commit_and_tree_are_the_first_dependency(tmp_path: Path) -> None:
    source = {"uri": "https://git.example/team/app", "commit": "a" * 40, "tree": "b" * 40}
    layer, _ = samples.made(tmp_path, "layer", *content())
    named = "//:api", DIGEST, "try/it:1", "linux/amd64"
    text = provenance.image(*named, [layer], LOCKS, "urn:x", FORM, source)
    assert definition(text)["resolvedDependencies"][0] == {
        "name": "source",
        "uri": f"git+https://git.example/team/app@{'a' * 40}",
        "digest": {"gitCommit": "a" * 40, "gitTree": "b" * 40},
    }
    assert definition(text)["externalParameters"]["source"] == "git+https://git.example/team/app"
    dirty = {**source, "commit": f"{'a' * 40}-dirty"}
    text = provenance.image(*named, [layer], LOCKS, "urn:x", FORM, dirty)
    assert "source" not in {one.get("name") for one in definition(text)["resolvedDependencies"]}


def test_locks_are_recorded_by_hash(tmp_path: Path) -> None:
    inputs = definition(statement(tmp_path))["resolvedDependencies"]
    assert {one["name"]: one["digest"]["sha256"] for one in inputs if "name" in one} == {
        name: hashlib.sha256(text).hexdigest() for name, text in LOCKS.items()
    }


def test_packages_are_recorded_by_their_locked_hashes(tmp_path: Path) -> None:
    inputs = definition(statement(tmp_path))["resolvedDependencies"]
    packages = {one["uri"].partition("@")[0]: one for one in inputs if "uri" in one}
    assert packages["pkg:deb/debian/one"]["digest"] == {"sha256": "5" * 64}
    assert packages["pkg:pypi/typing-extensions"]["digest"] == {"sha256": "3" * 64}
    locked = packages["pkg:pypi/orjson"]["annotations"]["locked:sha256"]
    assert locked == ["1" * 64, "2" * 64]


def test_layers_are_byproducts(tmp_path: Path) -> None:
    (made,) = json.loads(statement(tmp_path))["predicate"]["runDetails"]["byproducts"]
    record, _ = read(tmp_path / "layer.json")
    assert made["digest"] == {"sha256": record.digest.removeprefix("sha256:")}
    assert made["annotations"] == {"target": "//:layer"}


def test_index_lists_its_images() -> None:
    images = {"linux/arm64": "sha256:" + "b" * 64, "linux/amd64": "sha256:" + "a" * 64}
    text = provenance.index("//:both", DIGEST, "try/it:1", images, "urn:x", FORM)
    assert definition(text)["resolvedDependencies"] == [
        {"name": "linux/amd64", "digest": {"sha256": "a" * 64}},
        {"name": "linux/arm64", "digest": {"sha256": "b" * 64}},
    ]
