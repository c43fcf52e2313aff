"""The gate: what it lets pass, what it tells people to do, and how a release is taken over."""

import copy
import datetime
import json
from pathlib import Path

import pytest

from ops.ci.contract import cli, declared, description
from ops.ci.contract.description import Json

TODAY = datetime.date(2026, 6, 1)
LOST = "DELETE /api/v1/sessions/{session_id}"


@pytest.fixture(scope="module")
def present() -> Json:
    return description.present()


@pytest.fixture(scope="module")
def broken(present: Json) -> Json:
    """The present description without an operation."""
    document = copy.deepcopy(present)
    del document["paths"]["/api/v1/sessions/{session_id}"]["delete"]
    return document


@pytest.fixture
def released(tmp_path: Path, present: Json) -> Path:
    """A folder with the present description as that of a release."""
    cli.release(tmp_path, present)
    return tmp_path


def declare(folder: Path, change: str, reason: str = "Nobody used it for a year.") -> None:
    text = f"[[breaking]]\nchange = {json.dumps(change)}\nreason = {json.dumps(reason)}\n"
    (folder / "declared.toml").write_text(text)


def test_this_tree_breaks_nothing_undeclared(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, present: Json
) -> None:
    monkeypatch.setattr(description, "present", lambda: present)
    status = cli.main([])
    said = capsys.readouterr().out
    assert status == 0, said
    assert "since the release" in said or said.strip() == cli.NO_RELEASE


def test_the_command_records_a_release(
    monkeypatch: pytest.MonkeyPatch, present: Json, tmp_path: Path
) -> None:
    monkeypatch.setattr(description, "present", lambda: present)
    monkeypatch.setattr(cli, "FOLDER", tmp_path)
    assert cli.main(["--release"]) == 0
    assert description.read(tmp_path / "description.json") == present


def test_a_new_repository_has_no_release_yet(tmp_path: Path, present: Json) -> None:
    report = cli.report(tmp_path, present, TODAY)
    assert report.passes
    assert "make contract RELEASE=1" in report.text


def test_a_breaking_change_fails_until_it_is_declared(released: Path, broken: Json) -> None:
    report = cli.report(released, broken, TODAY)
    assert not report.passes
    change = f"operation-removed at {LOST}: It was removed."
    assert f"breaking    {LOST}: {change}" in report.text
    assert f'change = "{change}"' in report.text
    declare(released, change)
    assert cli.report(released, broken, TODAY).passes


def test_a_declaration_that_matches_nothing_fails(released: Path, present: Json) -> None:
    declare(released, "operation-removed at GET /old: It was removed.")
    report = cli.report(released, present, TODAY)
    assert not report.passes
    assert "Declared, but not a breaking change: operation-removed at GET /old" in report.text


def test_a_declaration_names_a_reason(released: Path) -> None:
    declare(released, "operation-removed at GET /old: It was removed.", "")
    with pytest.raises(declared.DeclarationError, match="reason must have at least three words"):
        declared.read(released / "declared.toml")
    (released / "declared.toml").write_text("[[breaking]]\nid = 'x'\n")
    with pytest.raises(declared.DeclarationError, match="must have change and reason"):
        declared.read(released / "declared.toml")


def test_a_release_takes_over_changes_and_declarations(released: Path, broken: Json) -> None:
    declare(released, f"operation-removed at {LOST}: It was removed.")
    cli.release(released, broken)
    assert declared.read(released / "declared.toml") == {}
    report = cli.report(released, broken, TODAY)
    assert report.passes
    assert "Callers notice no change." in report.text
    assert {file.name for file in released.iterdir()} == {"description.json", "declared.toml"}


def test_the_recorded_description_is_read_as_it_was_written(released: Path, present: Json) -> None:
    assert description.read(released / "description.json") == present
    lines = (released / "description.json").read_text().splitlines()
    assert max(map(len, lines)) < 400
    assert len(lines) > 1000
