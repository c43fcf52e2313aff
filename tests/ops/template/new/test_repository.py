"""`make new` creates a repository in any folder, completely or not at all, and updates it."""

import os
from pathlib import Path

import pytest

from ops.template.new import repository
from ops.template.new.names import OLD, NewError
from ops.template.new.repository import Wanted
from ops.template.update.git import git
from tests.ops.template.new import templates

TEXT = "Sells."


@pytest.fixture
def template(tmp_path: Path) -> Path:
    return templates.small(tmp_path / "the template")


def unformatted(_: Path) -> None:
    """Formats nothing."""


def make(template: Path, into: Path | str, name: str = "my-shop", text: str = TEXT) -> Path:
    return repository.make(template, Path(into), Wanted(name, text), unformatted).folder


def test_every_form_of_the_name_changes_and_modes_are_kept(template: Path, tmp_path: Path) -> None:
    into = make(template, tmp_path / "new")
    assert (into / "src/my_shop/__init__.py").read_text() == 'NAME = "my_shop"\n'
    assert (into / "Makefile").read_text() == "# my-shop MY_SHOP_CACHE\n"
    assert (into / "pyproject.toml").read_text() == 'name = "my-shop"\ndescription = "Sells."\n'
    assert os.access(into / "run", os.X_OK)
    assert (into / "link").readlink() == Path("run")
    assert (into / "data").read_bytes() == b"\xff\xfe" + OLD.encode()
    assert git(into, "branch", "--show-current") == "main"
    assert git(into, "status", "--porcelain") == ""


@pytest.mark.parametrize("into", ["../shop", "../with space/it's/deep", "../ünïcode", "../empty"])
def test_relative_folders_are_created_beside_the_template(
    template: Path, tmp_path: Path, into: str
) -> None:
    (tmp_path / "empty").mkdir()
    assert make(template, into) == tmp_path / into[3:]
    assert (tmp_path / into[3:] / "src/my_shop").is_dir()


def test_folder_that_is_in_use_is_refused_and_unchanged(template: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other/file").touch()
    for into in ("../other", "../other/file"):
        with pytest.raises(NewError, match="is not empty; choose another folder"):
            make(template, into)
    with pytest.raises(NewError, match=r"inside this repository; .* INTO=\.\./shop"):
        make(template, "shop")
    assert [path.name for path in (tmp_path / "other").iterdir()] == ["file"]
    assert git(template, "status", "--porcelain") == ""


@pytest.mark.parametrize("failure", [KeyboardInterrupt, SystemExit, OSError("disk full")])
def test_failure_leaves_nothing_behind(
    template: Path, tmp_path: Path, failure: type[BaseException] | BaseException
) -> None:
    def fail(folder: Path) -> None:
        assert (folder / "src/my_shop").is_dir()
        raise failure

    (tmp_path / "empty").mkdir()
    before = sorted(tmp_path.iterdir())
    for into in ("../parent/shop", "../empty"):
        with pytest.raises((KeyboardInterrupt, SystemExit, NewError)):
            repository.make(template, Path(into), Wanted("my-shop", TEXT), fail)
    assert sorted(tmp_path.iterdir()) == before
    assert list((tmp_path / "empty").iterdir()) == []


def test_failure_of_git_leaves_nothing_behind(
    template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_AUTHOR_DATE", "no date")
    with pytest.raises(NewError, match=r"git commit in .* failed: .*no date"):
        make(template, "../shop")
    assert not (tmp_path / "shop").exists()


def test_update_merges_with_own_changes(template: Path, tmp_path: Path) -> None:
    into = make(template, tmp_path / "new")
    (into / "own").write_text("mine\n")
    (into / "run").write_text("#!/bin/sh\nexit 0\n")
    templates.commit(into, "own work")
    (template / "Makefile").write_text(f"# newer {OLD}\n")
    (template / "data").unlink()
    templates.commit(template, "newer")
    assert repository.make(template, into, Wanted("my-shop"), unformatted).updated
    git(into, "-c", "user.name=t", "-c", "user.email=t@example.com", "merge", "--quiet", "base")
    assert (into / "Makefile").read_text() == "# newer my_shop\n"
    assert (into / "own").read_text() == "mine\n"
    assert (into / "run").read_text() == "#!/bin/sh\nexit 0\n"
    assert 'description = "Sells."' in (into / "pyproject.toml").read_text()
    assert not (into / "data").exists()
    assert git(into, "worktree", "list").count("\n") == 0


def test_update_under_another_name_is_refused(template: Path, tmp_path: Path) -> None:
    into = make(template, tmp_path / "new")
    with pytest.raises(NewError, match="was created under another name"):
        make(template, into, "store")
    assert git(into, "worktree", "list").count("\n") == 0
    assert git(into, "rev-list", "--count", "base") == "1"


def test_description_is_one_line(template: Path, tmp_path: Path) -> None:
    with pytest.raises(NewError, match="DESCRIPTION: must be one line"):
        make(template, tmp_path / "new", text="Sells.\nBuys.")
