"""A repository under another name: complete, importable, and open to later updates."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ops.new import rename

OLD = "fastapi" + "_base"


@pytest.fixture(autouse=True)
def author(monkeypatch: pytest.MonkeyPatch) -> None:
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "test")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "test@example.com")


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A small base with a package, a program and a file that is no text."""
    root = tmp_path / "base"
    (root / "src" / OLD).mkdir(parents=True)
    (root / "src" / OLD / "__init__.py").write_text(f"NAME = '{OLD}'\n", encoding="utf-8")
    (root / "Makefile").write_text(f"# {OLD.replace('_', '-')} {OLD.upper()}_CACHE\n")
    (root / "run").write_text("#!/bin/sh\n")
    (root / "run").chmod(0o755)
    (root / "data").write_bytes(b"\xff\xfe" + OLD.encode())
    rename.git(root, "init", "--quiet")
    commit(root, "first")
    return root


def commit(root: Path, message: str) -> None:
    rename.git(root, "add", "--all")
    rename.git(root, "commit", "--quiet", "--message", message)


def test_every_form_of_the_name_changes_and_modes_stay(base: Path, tmp_path: Path) -> None:
    into = tmp_path / "new"
    assert "make fmt check test" in rename.make(base, into, "my_shop")
    assert (into / "src/my_shop/__init__.py").read_text() == "NAME = 'my_shop'\n"
    assert (into / "Makefile").read_text() == "# my-shop MY_SHOP_CACHE\n"
    assert os.access(into / "run", os.X_OK)
    assert (into / "data").read_bytes() == b"\xff\xfe" + OLD.encode()
    assert rename.git(into, "branch", "--show-current") == "main"
    assert rename.git(into, "status", "--porcelain") == ""


def test_an_update_is_merged_with_own_work(base: Path, tmp_path: Path) -> None:
    into = tmp_path / "new"
    rename.make(base, into, "shop")
    (into / "own").write_text("mine\n")
    (into / "run").write_text("#!/bin/sh\nexit 0\n")
    commit(into, "own work")
    (base / "Makefile").write_text(f"# newer {OLD}\n")
    (base / "data").unlink()
    commit(base, "newer")
    assert "git merge base" in rename.make(base, into, "shop")
    rename.git(into, "merge", "--quiet", "base")
    assert (into / "Makefile").read_text() == "# newer shop\n"
    assert (into / "own").read_text() == "mine\n"
    assert (into / "run").read_text() == "#!/bin/sh\nexit 0\n"
    assert not (into / "data").exists()


@pytest.mark.parametrize("name", ["Shop", "2shop", "a-b", "a__b", "json", "class", "ops", "x" * 13])
def test_names_that_cannot_be_are_refused(base: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(rename.NewError, match=f"NAME={name}"):
        rename.make(base, tmp_path / "new", name)
    assert not (tmp_path / "new").exists()


def test_folders_that_hold_other_things_are_refused(base: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other/file").touch()
    for into in (tmp_path / "other", base / "within"):
        with pytest.raises(rename.NewError, match="INTO="):
            rename.make(base, into, "shop")


def test_an_update_under_another_name_is_refused(base: Path, tmp_path: Path) -> None:
    rename.make(base, tmp_path / "new", "shop")
    with pytest.raises(rename.NewError, match="no package of that name"):
        rename.make(base, tmp_path / "new", "store")


def test_the_service_itself_runs_under_another_name(tmp_path: Path) -> None:
    names = [str(path) for path in Path("src").rglob("*") if path.is_file()]
    rename.write(Path(), names, tmp_path, "shop")
    sources = [path for path in tmp_path.rglob("*") if path.suffix in (".py", ".mako")]
    assert len(sources) > 50
    assert [path for path in sources if OLD in path.read_text(encoding="utf-8")] == []
    done = subprocess.run(
        [sys.executable, "-c", "import shop.main; print(shop.main.create_app().title)"],
        cwd=tmp_path / "src",
        env={"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path[1:])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "shop"
