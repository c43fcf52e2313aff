"""Layers, Ruff and owners as goals of Pants: errors fail them, fixable errors are fixed."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ops.build.plugins.workspaces import Workspace, workspace

UNUSED = "import os\n"


@pytest.fixture(scope="module")
def pants(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    with workspace(tmp_path_factory.mktemp("workspace"), tmp_path_factory.mktemp("mirror")) as made:
        made.write("ruff.toml", 'lint.select = ["F"]\n')
        yield made


@pytest.fixture
def code(pants: Workspace) -> Iterator[Path]:
    """A minimal valid module."""
    with pants.file("code/BUILD", "python_sources()"), pants.file("code/one.py", ""):
        yield pants.root / "code/one.py"


def test_lint_reports_a_finding_of_ruff(pants: Workspace, code: Path) -> None:
    code.write_text(UNUSED)
    done = pants.run("lint", "code/one.py")
    assert done.returncode == 1, done.stderr
    assert "F401" in done.stderr
    assert "ruff check failed" in done.stderr


def test_lint_accepts_valid_code(pants: Workspace, code: Path) -> None:
    code.write_text('"""Nothing."""\n')
    done = pants.run("lint", "code/one.py")
    assert done.returncode == 0, done.stderr
    assert "layers succeeded" in done.stderr


def test_fix_repairs_and_formats(pants: Workspace, code: Path) -> None:
    code.write_text('"""Nothing."""\n\nimport os\n\nONE = {  "a":1}\n')
    done = pants.run("fix", "code/one.py")
    assert done.returncode == 0, done.stderr
    assert code.read_text() == '"""Nothing."""\n\nONE = {"a": 1}\n'


@pytest.mark.parametrize("goal", ["fmt", "fix", "lint"])
def test_invalid_ruff_settings_fail_every_goal(pants: Workspace, code: Path, goal: str) -> None:
    with pants.file("code/ruff.toml", "no-such-setting = 1\n"):
        done = pants.run(goal, "code/one.py")
    assert done.returncode == 1, done.stdout
    assert "no-such-setting" in done.stdout + done.stderr


def test_lint_fails_where_an_import_breaks_a_layer(pants: Workspace) -> None:
    with (
        pants.file("high/BUILD", "python_sources()"),
        pants.file("high/one.py", ""),
        pants.file("low/one.py", "import high.one\n"),
        pants.file("low/BUILD", 'python_sources()\n__dependencies_rules__(("*", "!//high/**"))\n'),
    ):
        done = pants.run("lint", "--only=layers", "low/one.py")
    assert done.returncode == 1, done.stdout
    assert "low/one.py" in done.stderr
    assert "high/one.py" in done.stderr


def test_lint_fails_where_an_import_uses_a_private_module(pants: Workspace) -> None:
    rules = '__dependents_rules__(("/private.py", "//domain/**", "!*"), ("*", "*"))'
    with (
        pants.file("domain/BUILD", f"python_sources()\n{rules}\n"),
        pants.file("domain/private.py", ""),
        pants.file("domain/public.py", "import domain.private\n"),
        pants.file("other/BUILD", "python_sources()"),
        pants.file("other/one.py", "import domain.public\n"),
    ):
        allowed = pants.run("lint", "--only=layers", "domain::", "other::")
        (pants.root / "other/one.py").write_text("import domain.private\n")
        refused = pants.run("lint", "--only=layers", "other::")
    assert allowed.returncode == 0, allowed.stderr
    assert refused.returncode == 1, refused.stdout
    assert "domain/private.py" in refused.stderr
    assert "other/one.py" in refused.stderr


def test_whole_tree_target_owns_no_source(pants: Workspace) -> None:
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
