import json
from pathlib import Path
from typing import Any

import pytest

from ops.build.oci import sbom
from ops.build.oci.entry import Entry, file, symlink
from tests.ops.build.oci import samples

DIGEST = "sha256:" + "ab" * 32
STATUS = "Package: {0}\nVersion: 1.0-1\nArchitecture: amd64\nSource: src\nSHA256: {1}\n"
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
