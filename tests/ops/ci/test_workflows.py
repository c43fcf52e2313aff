"""Workflows are valid, pinned, least-privileged, and call existing Makefile targets."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

LINTERS = Path("ops.ci/linters.pex").absolute()
WORKFLOWS = sorted(Path(".github/workflows").glob("*.yml"))
CALLERS = [*WORKFLOWS, Path("ops/ci/gitlab-ci.example.yml"), Path(".ci/run")]


def lint(program: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, LINTERS, *arguments],
        env={**os.environ, "PEX_SCRIPT": program},
        capture_output=True,
        text=True,
        check=False,
    )


def zizmor(folder: Path) -> subprocess.CompletedProcess[str]:
    return lint("zizmor", "--offline", "--no-progress", "--color=never", folder)


def schema(kind: str, *files: Path) -> subprocess.CompletedProcess[str]:
    return lint("check-jsonschema", "--builtin-schema", f"vendor.{kind}", *files)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    shutil.copytree(".github", tmp_path / ".github")
    return tmp_path / ".github"


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text, f"{path} holds no {old!r}"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_zizmor_reports_nothing() -> None:
    done = zizmor(Path(".github"))
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("old", "new", "audit"),
    [
        ("de0fac2e4500dabe0009e67214ff5f5447ce83dd # v6.0.2", "v6", "unpinned-uses"),
        ("persist-credentials: false", "fetch-depth: 1", "artipacked"),
        ("run: make check", "run: make ${{ github.head_ref }}", "template-injection"),
        ("permissions:\n      contents: read", "permissions: write-all", "excessive-permissions"),
        ("  pull_request:", "  pull_request_target:", "dangerous-triggers"),
    ],
)
def test_zizmor_reports_a_broken_workflow(copy: Path, old: str, new: str, audit: str) -> None:
    edit(copy / "workflows/ci.yml", old, new)
    done = zizmor(copy)
    assert done.returncode != 0
    assert audit in done.stdout


def test_files_match_their_schema() -> None:
    for kind, files in (
        ("github-workflows", WORKFLOWS),
        ("github-actions", sorted(Path(".github/actions").glob("*/action.yml"))),
        ("gitlab-ci", [Path("ops/ci/gitlab-ci.example.yml")]),
    ):
        assert files
        done = schema(kind, *files)
        assert done.returncode == 0, done.stdout


def test_schema_rejects_an_unknown_key(copy: Path) -> None:
    edit(copy / "workflows/ci.yml", "timeout-minutes", "timeout-minute")
    done = schema("github-workflows", copy / "workflows/ci.yml")
    assert done.returncode != 0
    assert "timeout-minute" in done.stdout


def test_each_action_is_pinned_to_one_commit_with_its_version() -> None:
    pins: dict[str, set[str]] = {}
    for path in sorted(Path(".github").rglob("*.yml")):
        for line in re.findall(r"uses: (?!\./)(.*)", path.read_text(encoding="utf-8")):
            match = re.fullmatch(r"(\S+)@([0-9a-f]{40} # v\d+\.\d+\.\d+)", line)
            assert match, f"{path}: {line!r} is not OWNER/NAME@COMMIT # vX.Y.Z"
            pins.setdefault(match[1], set()).add(match[2])
    assert pins
    assert {name: found for name, found in pins.items() if len(found) > 1} == {}


def test_jobs_declare_permissions_and_a_timeout() -> None:
    for path in WORKFLOWS:
        workflow: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
        assert workflow["permissions"] == {}, path
        assert workflow["concurrency"], path
        for name, job in workflow["jobs"].items():
            assert {"permissions", "timeout-minutes"} <= job.keys(), f"{path}: {name}"


def test_called_make_targets_exist() -> None:
    makefile = Path("Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    call = re.compile(r"(?:run: |script: |- |CI=false |^)make ([a-z-]+)", re.MULTILINE)
    for path in CALLERS:
        called = set(call.findall(path.read_text(encoding="utf-8")))
        assert called, path
        assert called <= targets, f"{path} calls {called - targets}, which the Makefile lacks"


def test_every_ci_target_is_in_a_workflow() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in WORKFLOWS)
    local = Path(".ci/run").read_text(encoding="utf-8")
    for name in re.findall(r"^make ([a-z-]+)", local, re.MULTILINE):
        assert f"make {name}" in text
