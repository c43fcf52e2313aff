"""Floors, Ruff and owners as goals of Pants: what is wrong fails them, what can be mended is."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ops.plugins.workspaces import Workspace, workspace

UNUSED = "import os\n"


@pytest.fixture(scope="module")
def pants(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    with workspace(tmp_path_factory.mktemp("workspace"), tmp_path_factory.mktemp("mirror")) as made:
        made.write("ruff.toml", 'lint.select = ["F"]\n')
        yield made


@pytest.fixture
def code(pants: Workspace) -> Iterator[Path]:
    """A module that may be anything."""
    with pants.file("code/BUILD", "python_sources()"), pants.file("code/one.py", ""):
        yield pants.root / "code/one.py"


def test_lint_tells_a_finding_of_ruff(pants: Workspace, code: Path) -> None:
    code.write_text(UNUSED)
    done = pants.run("lint", "code/one.py")
    assert done.returncode == 1, done.stderr
    assert "F401" in done.stderr
    assert "ruff check failed" in done.stderr


def test_lint_is_content_with_what_is_right(pants: Workspace, code: Path) -> None:
    code.write_text('"""Nothing."""\n')
    done = pants.run("lint", "code/one.py")
    assert done.returncode == 0, done.stderr
    assert "floors succeeded" in done.stderr


def test_fix_mends_and_formats(pants: Workspace, code: Path) -> None:
    code.write_text('"""Nothing."""\n\nimport os\n\nONE = {  "a":1}\n')
    done = pants.run("fix", "code/one.py")
    assert done.returncode == 0, done.stderr
    assert code.read_text() == '"""Nothing."""\n\nONE = {"a": 1}\n'


@pytest.mark.parametrize("goal", ["fmt", "fix", "lint"])
def test_settings_that_ruff_refuses_fail_every_goal(
    pants: Workspace, code: Path, goal: str
) -> None:
    with pants.file("code/ruff.toml", "no-such-setting = 1\n"):
        done = pants.run(goal, "code/one.py")
    assert done.returncode == 1, done.stdout
    assert "no-such-setting" in done.stdout + done.stderr


def test_lint_fails_where_an_import_breaks_a_floor(pants: Workspace) -> None:
    with (
        pants.file("high/BUILD", "python_sources()"),
        pants.file("high/one.py", ""),
        pants.file("low/one.py", "import high.one\n"),
        pants.file("low/BUILD", 'python_sources()\n__dependencies_rules__(("*", "!//high/**"))\n'),
    ):
        done = pants.run("lint", "--only=floors", "low/one.py")
    assert done.returncode == 1, done.stdout
    assert "low/one.py" in done.stderr
    assert "high/one.py" in done.stderr


def test_a_target_of_the_whole_tree_owns_no_source(pants: Workspace) -> None:
    with (
        pants.file("BUILD", 'whole_tree(name="tree", source="pants.toml")\n'),
        pants.file("new/one.py", ""),
    ):
        tailored = pants.run("tailor", "--check", "new:")
        generated = pants.run("export-codegen", "//:tree")
    assert tailored.returncode == 1, tailored.stderr
    assert "Would create new/BUILD" in tailored.stdout
    assert generated.returncode == 0, generated.stderr
    assert (pants.root / "dist/codegen/new/one.py").exists()
