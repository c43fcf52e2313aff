"""What came, went and changed between two bills of materials."""

import json
from pathlib import Path
from typing import Any

import pytest

from ops.scan import sbom_diff


def bill(path: Path, *packages: tuple[str, str, str]) -> str:
    components: list[dict[str, Any]] = [
        {"purl": f"pkg:pypi/{name}@{version}", "licenses": [{"license": {"id": licence}}]}
        for name, version, licence in packages
    ]
    path.write_text(json.dumps({"components": components}), encoding="utf-8")
    return str(path)


def test_differences_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = bill(tmp_path / "old", ("gone", "1", "MIT"), ("kept", "1", "MIT"), ("up", "1", "MIT"))
    new = bill(tmp_path / "new", ("kept", "1", "GPL"), ("new", "3", "MIT"), ("up", "2", "MIT"))
    assert sbom_diff.main([old, new]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "- pypi gone 1",
        "! pypi kept: licence MIT -> GPL",
        "+ pypi new 3 (MIT)",
        "  pypi up 1 -> 2",
    ]


def test_equal_bills_say_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = bill(tmp_path / "old", ("kept", "1", "MIT"))
    assert sbom_diff.main([old, old]) == 0
    assert capsys.readouterr().out == "no difference\n"


def test_a_component_without_a_package_url_counts_by_its_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, version in (("old", "13"), ("new", "14")):
        component = {"type": "operating-system", "name": "debian", "version": version}
        (tmp_path / name).write_text(json.dumps({"components": [component]}), encoding="utf-8")
    assert sbom_diff.main([str(tmp_path / "old"), str(tmp_path / "new")]) == 0
    assert capsys.readouterr().out == "  operating-system debian 13 -> 14\n"


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("[", encoding="utf-8")
    assert sbom_diff.main([str(tmp_path / "x"), str(tmp_path / "x")]) == 2
