"""Secrets are found in any file; invented passwords of tests are not reported."""

import subprocess
from pathlib import Path

import pytest

from ops.ci.scan import secrets
from ops.ci.scan.findings import UnavailableError

# Assembled here, so that this file contains none.
TOKEN = "ghp_" + "wWPw5k4aXcaT4fNP0UcnZwJUVFk6LO0pINUx"
PASSWORD = "password" + ' = "hunter2hunter2"\n'


def scan(root: Path, name: str, text: str) -> list[str]:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text, encoding="utf-8")
    return [finding.name for finding in secrets.scan(root, [name])]


@pytest.mark.parametrize("name", ["src/a.py", "tests/a.py", ".github/workflows/a.yml", "notes"])
def test_token_is_found_in_any_file(tmp_path: Path, name: str) -> None:
    [found] = {one for one in scan(tmp_path, name, f"x = '{TOKEN}'\n") if "github-token" in one}
    assert found.startswith(f"secrets/{name}/github-token/")


def test_password_is_reported_in_sources_and_not_in_tests(tmp_path: Path) -> None:
    [found] = scan(tmp_path, "src/a.py", PASSWORD)
    assert found.startswith("secrets/src/a.py/secret-keyword/")
    assert scan(tmp_path, "tests/a.py", PASSWORD) == []


def test_each_secret_of_a_file_is_a_separate_finding(tmp_path: Path) -> None:
    second = PASSWORD.replace("hunter2", "hunter3")
    assert len(set(scan(tmp_path, "src/a.py", PASSWORD + second))) == 2


def test_files_ignored_by_git_are_skipped(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    for name in (".gitignore", "new.py", ".env"):
        (tmp_path / name).write_text(".env\n", encoding="utf-8")
    assert secrets.tracked(tmp_path) == [".gitignore", "new.py"]


def test_missing_repository_is_not_a_clean_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(UnavailableError, match="git does not list"):
        secrets.tracked(tmp_path)
