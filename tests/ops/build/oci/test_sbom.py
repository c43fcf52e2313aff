import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from ops.build.oci import control, layer, sbom
from ops.build.oci.components import Component
from ops.build.oci.entry import Entry, file, symlink
from tests.ops.build.oci import samples

DIGEST = "sha256:" + "ab" * 32
STATUS = "Package: {0}\nVersion: 1.0-1\nArchitecture: amd64\nSource: src\nSHA256: {1}\n"
BILL = {
    "bomFormat": "CycloneDX",
    "components": [
        {
            "name": "openssl",
            "version": "4.0.3",
            "purl": "pkg:generic/openssl@4.0.3",
            "hashes": [{"alg": "SHA-256", "content": "7" * 64}],
        }
    ],
}
LOCK = f"""
orjson==3.11.0 \\
    --hash=sha256:{"2" * 64} \\
    --hash=sha256:{"1" * 64}
none==1 --hash=sha256:{"4" * 64}
typing-extensions==4.16.0 ; python_version < '4' \\
    --hash=sha256:{"3" * 64}
"""


def content() -> list[Entry]:
    def metadata(name: str, version: str, *lines: str) -> Entry:
        path = f"app/{name.replace('-', '_')}-{version}.dist-info/METADATA"
        head = [f"Name: {name}", f"Version: {version}", *lines, "", "a text", "License: no"]
        return file(path, "\n".join(head).encode())

    return [
        file("var/lib/dpkg/status.d/one", STATUS.format("one", "5" * 64).encode()),
        file("var/lib/dpkg/status.d/two", STATUS.format("two", "6" * 64).encode()),
        file("usr/share/doc/one/copyright", b"Format: x\nLicense: MIT\n\nLicense: GPL-2+\n"),
        symlink("usr/share/doc/two", "one"),
        metadata("orjson", "3.11.0", "License-Expression: Apache-2.0 OR MIT"),
        metadata("Typing_Extensions", "4.16.0", "Classifier: License :: OSI Approved :: PSF"),
        metadata("none", "1"),
    ]


def bill(folder: Path) -> tuple[str, dict[str, Any]]:
    layer, _ = samples.made(folder, "layer", *content())
    text = sbom.cyclonedx(DIGEST, "try/it:1", "linux/amd64", [layer], [LOCK])
    return text, {one["name"]: one for one in json.loads(text)["components"]}


def test_debian_packages_have_their_hash_licences_and_source(tmp_path: Path) -> None:
    _, found = bill(tmp_path)
    one = found["one"]
    assert one["purl"] == "pkg:deb/debian/one@1.0-1?arch=amd64&distro=debian-13&upstream=src"
    assert one["hashes"] == [{"alg": "SHA-256", "content": "5" * 64}]
    names = {next(iter(licence["license"].values())) for licence in one["licenses"]}
    assert names == {"MIT", "GPL-2+"}
    # It uses the documentation directory of the other package.
    assert found["two"]["licenses"] == one["licenses"]


def test_wheels_have_their_licence_and_the_hashes_of_the_lock(tmp_path: Path) -> None:
    _, found = bill(tmp_path)
    orjson = found["orjson"]
    assert orjson["purl"] == "pkg:pypi/orjson@3.11.0"
    assert orjson["licenses"] == [{"expression": "Apache-2.0 OR MIT"}]
    locked = [p["value"] for p in orjson["properties"] if p["name"] == "locked:sha256"]
    assert locked == ["1" * 64, "2" * 64]
    assert "hashes" not in orjson
    other = found["typing-extensions"]
    assert other["hashes"] == [{"alg": "SHA-256", "content": "3" * 64}]
    assert other["licenses"] == [{"license": {"name": "PSF"}}]
    assert "licenses" not in found["none"]


def test_licences_may_be_with_another_package_of_the_source(tmp_path: Path) -> None:
    status = STATUS.format("three", "7" * 64).encode()
    packages, _ = samples.made(tmp_path, "layer", *content())
    upper, _ = samples.made(tmp_path, "upper", file("var/lib/dpkg/status.d/three", status))
    text = sbom.cyclonedx(DIGEST, "try/it:1", "linux/amd64", [packages, upper], [LOCK])
    found = {one["name"]: one for one in json.loads(text)["components"]}
    assert found["three"]["licenses"] == found["one"]["licenses"]


def test_wheel_has_the_hash_of_its_own_file(tmp_path: Path) -> None:
    tags = file("app/orjson-3.11.0.dist-info/WHEEL", b"Tag: cp313-cp313-manylinux2014_x86_64\n")
    layer, _ = samples.made(tmp_path, "layer", *content(), tags)
    listed = f"{'2' * 64}  orjson-3.11.0-cp313-cp313-manylinux2014_x86_64.whl\n"
    text = sbom.cyclonedx(DIGEST, "try/it:1", "linux/amd64", [layer], [LOCK, listed])
    orjson = next(one for one in json.loads(text)["components"] if one["name"] == "orjson")
    assert orjson["hashes"] == [{"alg": "SHA-256", "content": "2" * 64}]
    assert "locked:sha256" not in {one["name"] for one in orjson["properties"]}
    # A hash that the lock does not allow is not taken from the list.
    foreign = listed.replace("2" * 64, "9" * 64)
    text = sbom.cyclonedx(DIGEST, "try/it:1", "linux/amd64", [layer], [LOCK, foreign])
    assert "9" * 64 not in text


def test_libraries_inside_a_wheel_are_its_components(tmp_path: Path) -> None:
    bill = json.dumps(BILL).encode()
    path = "app/orjson-3.11.0.dist-info/sboms/own.json"
    layer, _ = samples.made(tmp_path, "layer", *content(), file(path, bill))
    text = sbom.cyclonedx(DIGEST, "try/it:1", "linux/amd64", [layer], [LOCK])
    orjson = next(one for one in json.loads(text)["components"] if one["name"] == "orjson")
    (inner,) = orjson["components"]
    assert (inner["name"], inner["purl"]) == ("openssl", "pkg:generic/openssl@4.0.3")
    assert inner["hashes"][0]["content"] == "7" * 64
    (reference,) = orjson["externalReferences"]
    assert (reference["type"], reference["url"]) == ("bom", f"file:///{path}")
    assert reference["hashes"][0]["content"] == sha256(bill).hexdigest()


def test_our_sources_are_a_component_with_real_edges(tmp_path: Path) -> None:
    requires = ["orjson>=3", "typing-extensions", "rich"]
    application = Component("app", "ours", "", requires=tuple(requires))
    packages, _ = samples.made(tmp_path, "layer", *content())
    layer.write([file("app/x.py", b"")], tmp_path / "s.json", "//:s", "", "amd64", application)
    sources, _ = layer.read(tmp_path / "s.json")
    document = json.loads(sbom.cyclonedx(DIGEST, "try/it:1", "linux/amd64", [packages, sources]))
    ours = next(one for one in document["components"] if one["name"] == "ours")
    assert (ours["type"], ours["hashes"][0]["content"]) == ("application", sources.digest[7:])
    required = {one["ref"]: one.get("dependsOn", []) for one in document["dependencies"]}
    assert required["app:ours"] == ["pkg:pypi/orjson@3.11.0", "pkg:pypi/typing-extensions@4.16.0"]
    # The image lists what nothing else requires.
    assert "app:ours" in required["image"]
    assert "pkg:pypi/orjson@3.11.0" not in required["image"]
    assert "pkg:pypi/none@1" in required["image"]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (
            "see /usr/share/common-licenses/GPL-3. and `/usr/share/common-licenses/GFDL'",
            {"GPL-3", "GFDL"},
        ),
        ("  PYTHON SOFTWARE FOUNDATION\n  LICENSE VERSION 2\n", {"PSF-2.0"}),
        ("nothing known", set()),
    ],
)
def test_licences_are_found_in_prose(text: str, names: set[str]) -> None:
    assert set(control.licences(text)) == names


def test_package_names_its_layer_and_the_image_its_digest(tmp_path: Path) -> None:
    text, found = bill(tmp_path)
    properties = {p["name"]: p["value"] for p in found["one"]["properties"]}
    assert properties["layer:target"] == "//:layer"
    image = json.loads(text)["metadata"]["component"]
    assert (image["name"], image["version"]) == ("try/it", DIGEST)


def test_sbom_without_packages_is_valid(tmp_path: Path) -> None:
    layer, _ = samples.made(tmp_path, "layer", file("x", b""))
    text = sbom.cyclonedx(DIGEST, "try/it:1", "linux/amd64", [layer])
    assert "components" not in json.loads(text)


@pytest.mark.parametrize("lock", ["", "# only a comment\n", "name\n"])
def test_lock_without_pins_has_no_hashes(lock: str) -> None:
    assert sbom.locked_hashes(lock) == {}
