"""Additions, removals and changes between two bills of materials."""

import json
from pathlib import Path
from typing import Any

import pytest

from ops.ci.scan import sbom_diff


def bill(path: Path, *packages: tuple[str, str, str]) -> str:
    components: list[dict[str, Any]] = [
        {"purl": f"pkg:pypi/{name}@{version}", "licenses": [{"license": {"id": licence}}]}
        for name, version, licence in packages
    ]
    path.write_text(json.dumps({"components": components}), encoding="utf-8")
    return str(path)


def test_differences_are_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = bill(tmp_path / "old", ("gone", "1", "MIT"), ("kept", "1", "MIT"), ("up", "1", "MIT"))
    new = bill(tmp_path / "new", ("kept", "1", "GPL"), ("new", "3", "MIT"), ("up", "2", "MIT"))
    assert sbom_diff.main([old, new]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "- pypi gone 1",
        "! pypi kept: licence MIT -> GPL",
        "+ pypi new 3 (MIT)",
        "  pypi up 1 -> 2",
    ]


def test_equal_sboms_are_reported_as_equal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = bill(tmp_path / "old", ("kept", "1", "MIT"))
    assert sbom_diff.main([old, old]) == 0
    assert capsys.readouterr().out == "no differences\n"


def test_component_without_a_package_url_is_matched_by_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, version in (("old", "13"), ("new", "14")):
        component = {"type": "operating-system", "name": "debian", "version": version}
        (tmp_path / name).write_text(json.dumps({"components": [component]}), encoding="utf-8")
    assert sbom_diff.main([str(tmp_path / "old"), str(tmp_path / "new")]) == 0
    assert capsys.readouterr().out == "  operating-system debian 13 -> 14\n"


def test_file_of_another_format_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("[", encoding="utf-8")
    assert sbom_diff.main([str(tmp_path / "x"), str(tmp_path / "x")]) == 2
