"""Secrets are found in any file, made-up passwords of tests are not taken for them."""

import subprocess
from pathlib import Path

import pytest

from ops.scan import secrets
from ops.scan.findings import UnavailableError

# Put together here, so that this file holds none.
TOKEN = "ghp_" + "wWPw5k4aXcaT4fNP0UcnZwJUVFk6LO0pINUx"
PASSWORD = "password" + ' = "hunter2hunter2"\n'


def scan(root: Path, name: str, text: str) -> list[str]:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text, encoding="utf-8")
    return [finding.name for finding in secrets.scan(root, [name])]


@pytest.mark.parametrize("name", ["src/a.py", "tests/a.py", ".github/workflows/a.yml", "notes"])
def test_a_token_is_found_wherever_it_lies(tmp_path: Path, name: str) -> None:
    [found] = {one for one in scan(tmp_path, name, f"x = '{TOKEN}'\n") if "github-token" in one}
    assert found.startswith(f"secrets/{name}/github-token/")


def test_a_password_is_found_in_sources_and_taken_for_made_up_in_tests(tmp_path: Path) -> None:
    [found] = scan(tmp_path, "src/a.py", PASSWORD)
    assert found.startswith("secrets/src/a.py/secret-keyword/")
    assert scan(tmp_path, "tests/a.py", PASSWORD) == []


def test_each_secret_of_a_file_is_a_finding_of_its_own(tmp_path: Path) -> None:
    second = PASSWORD.replace("hunter2", "hunter3")
    assert len(set(scan(tmp_path, "src/a.py", PASSWORD + second))) == 2


def test_files_that_git_ignores_are_left_out(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    for name in (".gitignore", "new.py", ".env"):
        (tmp_path / name).write_text(".env\n", encoding="utf-8")
    assert secrets.tracked(tmp_path) == [".gitignore", "new.py"]


def test_without_a_repository_nothing_counts_as_scanned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(UnavailableError, match="git does not list"):
        secrets.tracked(tmp_path)
