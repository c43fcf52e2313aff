"""`make new`, as a person types it in a copy of this repository."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from ops.template.formatting import ruff
from ops.template.new import contents
from ops.template.update.git import AUTHOR, git
from tests.ops.template.new import templates

NAME, PACKAGE = "customer-portal-api", "customer_portal_api"
DESCRIPTION = 'Shows our "customers\'" orders for $5 & more.'
#: Tests of the copy: those whose results depend on the name.
TESTS = [
    "tests/unit/api/test_errors.py",
    "tests/unit/core/test_encryption.py",
    "tests/unit/core/test_passwords.py",
    "tests/ops/ci/docs/test_links.py",
    "tests/ops/ci/docs/test_translations.py",
]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a person whose git has settings, but no identity."""
    folder = tmp_path_factory.mktemp("home")
    hook = folder / "hooks/pre-commit"
    hook.parent.mkdir()
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    (folder / ".gitconfig").write_text(
        "[user]\nuseConfigOnly = true\n[init]\ndefaultBranch = trunk\n[commit]\ngpgSign = true\n"
        f"[core]\nhooksPath = {hook.parent}\nautocrlf = true\nsafecrlf = true\n"
    )
    # As in a hook of git, which says where its own repository is.
    return {"HOME": str(folder), "GIT_DIR": "/nowhere", "XDG_CONFIG_HOME": str(folder)}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A worktree of a copy of this repository."""
    folder = tmp_path_factory.mktemp("templates")
    tree = folder / "a worktree"
    git(templates.whole(folder / "clone"), "worktree", "add", "--quiet", "-b", "tree", str(tree))
    return tree


@pytest.fixture(scope="module")
def made(template: Path, home: dict[str, str]) -> tuple[Path, str]:
    """A new repository, and what `make new` printed."""
    into = "../it's a folder/deep"
    done = templates.make(
        template,
        "new",
        f"NAME={NAME}",
        f"INTO={into}",
        f"DESCRIPTION={DESCRIPTION}",
        "WITHOUT=statistics,console",
        environ=home,
    )
    assert done.returncode == 0, done.stderr
    return (template / into).resolve(), done.stdout


def files(repository: Path) -> list[Path]:
    return [repository / name for name in git(repository, "ls-files", "-z").split("\0") if name]


def test_next_steps_are_printed(made: tuple[Path, str]) -> None:
    folder, printed = made
    steps = printed.partition("Next:")[2]
    (command,) = re.findall(r"^  (cd .*)$", steps, re.M)
    done = subprocess.run(["sh", "-c", f"{command} && pwd"], capture_output=True, text=True)
    assert done.stdout.strip() == str(folder)
    assert "make clients\n  make up\n  make test" in steps


def test_first_commit_needs_no_identity_and_runs_no_hooks(made: tuple[Path, str]) -> None:
    folder, _ = made
    assert git(folder, "log", "--all", "--format=%an") == AUTHOR
    assert git(folder, "branch", "--format=%(refname:short)").split() == ["base", "main"]
    assert git(folder, "status", "--porcelain") == ""
    assert not (folder / ".git/hooks/pre-commit").exists()


def test_texts_are_those_of_the_product(made: tuple[Path, str], template: Path) -> None:
    folder, _ = made
    english = (template / "README.md").read_text()
    readme = (folder / "README.md").read_text()
    assert readme.startswith(f"# {NAME}\n\n{DESCRIPTION}\n\n## Two commands\n")
    assert "```bash tour\n" in readme
    before, after = (set(re.findall(r"^## (.*)$", text, re.M)) for text in (english, readme))
    assert before - after == set(contents.TEMPLATE_SECTIONS)
    assert (folder / "CHANGELOG.md").read_text().endswith("\n## Unreleased\n")
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    assert (project["name"], project["description"]) == (NAME, DESCRIPTION)
    site = tomllib.loads((folder / "docs/zensical.toml").read_text())["project"]
    assert (site["site_name"], site["site_description"]) == (NAME, DESCRIPTION)
    assert all((folder / page).exists() for page in re.findall(r"'([\w/.-]+\.md)'", str(site)))


def test_nothing_of_the_template_is_left(made: tuple[Path, str]) -> None:
    folder, _ = made
    left = re.compile(r"fastapi[-_]base|make[ ]new|ops.template.new", re.IGNORECASE)
    assert len(files(folder)) > 500
    assert [file for file in files(folder) if left.search(str(file.relative_to(folder)))] == []
    found = [
        str(file.relative_to(folder))
        for file in files(folder)
        if not file.is_symlink() and left.search(file.read_text(encoding="utf-8", errors="replace"))
    ]
    # The licence requires its notice to be kept.
    assert found == ["LICENSE"]


def test_links_and_programs_are_kept(made: tuple[Path, str], template: Path) -> None:
    folder, _ = made
    # Pants gives this test copies of what links lead to.
    assert (folder / "Dockerfile").is_symlink() == (template / "Dockerfile").is_symlink()
    assert (folder / "Dockerfile").exists()
    for program in ("pants", "ops/dev/python.sh"):
        assert os.access(folder / program, os.X_OK) == os.access(template / program, os.X_OK)


@pytest.mark.parametrize("place", [".", "ops/build/plugins"])
def test_code_is_formatted(made: tuple[Path, str], place: str) -> None:
    program = str(ruff.program(Path()))
    for command in (["check"], ["format", "--check"]):
        done = subprocess.run(
            [program, *command, "--no-cache", "."],
            cwd=made[0] / place,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout


def test_its_own_tests_pass(made: tuple[Path, str]) -> None:
    folder, _ = made
    outside = [one for one in sys.path if one and not Path(one).is_relative_to(Path.cwd())]
    path = os.pathsep.join([str(folder / "src"), str(folder), *outside])
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *TESTS]
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": path, "HOME": os.environ["HOME"]}
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-1000:]
    show = f"import json, {PACKAGE}.main as m; print(json.dumps(m.create_app().openapi()['info']))"
    done = subprocess.run(
        [sys.executable, "-c", show], cwd=folder, env=environ, capture_output=True, text=True
    )
    info = json.loads(done.stdout.splitlines()[-1])
    assert (info["title"], info["summary"]) == (NAME, DESCRIPTION)


def test_missing_name_shows_the_usage(template: Path) -> None:
    done = templates.make(template, "new")
    assert done.returncode != 0
    assert "usage: make new NAME=customer-portal-api" in done.stderr


def test_invalid_name_is_reported_in_one_sentence(template: Path) -> None:
    done = templates.make(template, "new", "NAME=Shop")
    said = [line for line in done.stderr.splitlines() if line.startswith("make new: ")]
    assert len(said) == 1
    assert "NAME=shop" in said[0]
    assert "Traceback" not in done.stderr
    assert not (template.parent / "Shop").exists()


def test_repository_without_the_formatter_says_so(
    template: Path, tmp_path: Path, home: dict[str, str]
) -> None:
    # Nothing can be installed below a file.
    (tmp_path / "file").touch()
    without = {**home, "FASTAPI_BASE_CACHE": str(tmp_path / "file/cache")}
    done = templates.make(template, "new", "NAME=a", f"INTO={tmp_path / 'a'}", environ=without)
    assert done.returncode == 0, done.stderr
    assert "not formatted yet" in done.stdout
    assert "  make fmt\n  make up" in done.stdout
    assert (tmp_path / "a/src/a/main.py").is_file()


def test_unknown_slices_and_presets_are_reported(template: Path) -> None:
    done = templates.make(template, "new", "NAME=a", "WITHOUT=statistics,none")
    assert (
        "make new: the slice 'none' does not exist; there are: console, email-change,"
        in done.stderr
    )
    done = templates.make(template, "new", "NAME=a", "PRESET=small")
    assert "PRESET=small: does not exist; there are: full, standard, minimal" in done.stderr
    assert not (template.parent / "a").exists()


def test_commands_of_the_page_about_slices_work(template: Path, tmp_path: Path) -> None:
    page = (template / "docs/slices.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```bash slices\n(.*?)```", page, re.S)
    listing, removal, check = (line.partition("#")[0].split()[1:] for line in block.splitlines())
    assert re.search(r"^items +\d+ ", templates.make(template, *listing).stdout, re.M)
    # The nightly workflow runs it for each slice, in minutes.
    assert check == ["slices-check", "SLICE=oidc"]
    tree = tmp_path / "tree"
    git(template, "clone", "--quiet", str(template), str(tree))
    removed = templates.make(tree, *removal)
    assert removed.returncode == 0, removed.stderr
    assert removed.stdout.endswith("Next: make clients check test\n")
    assert not (tree / "src/fastapi_base/services/items").exists()


def test_slices_are_left_out_and_stay_removed_by_an_update(
    made: tuple[Path, str], template: Path, home: dict[str, str]
) -> None:
    folder, _ = made
    endpoints = folder / f"src/{PACKAGE}/api/v1/endpoints"
    assert not (endpoints / "statistics").exists()
    # Later tests of the module would see the changes; this is the last one.
    removed = templates.make(folder, "remove-slice", "SLICE=items", environ=home)
    assert removed.returncode == 0, removed.stderr
    templates.commit(folder, "remove the example")
    item = template / "src/fastapi_base/services/items/items.py"
    item.write_text(item.read_text(encoding="utf-8") + "\n# newer\n", encoding="utf-8")
    (template / "docs/newer.md").write_text("# Newer\n\nSee [data](data.md).\n")
    templates.commit(template, "Explain what is newer")
    updated = templates.make(folder, "update", environ=home)
    assert updated.returncode == 0, updated.stderr
    assert (folder / "docs/newer.md").exists()
    assert not (endpoints / "items").exists()
    assert not (endpoints / "statistics").exists()
    assert "\n- Explain what is newer\n" in git(folder, "log", "-1", "--format=%B") + "\n"
    assert git(folder, "status", "--porcelain") == ""
    again = templates.make(folder, "update", environ=home)
    assert "has the newest base already" in again.stdout
