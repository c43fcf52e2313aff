"""A workspace writes everything or nothing."""

from pathlib import Path

import pytest

from ops.build.locks.errors import LockingError
from ops.build.locks.workspace import opened

FILES = ("3rdparty/python/app.lock", "3rdparty/python/app.txt", "pyproject.toml")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "3rdparty/python").mkdir(parents=True)
    (tmp_path / "3rdparty/npm/a").mkdir(parents=True)
    for name in FILES:
        (tmp_path / name).write_text("old\n")
    return tmp_path


def test_failure_restores_what_was_replaced(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replace = Path.replace

    def failing(path: Path, target: Path) -> Path:
        if target.name == "pyproject.toml":
            assert (root / FILES[0]).read_text() == "new\n"
            raise OSError(28, "No space left on device", str(target))
        return replace(path, target)

    with opened(root) as work:
        (work.folder / "3rdparty/npm/a").mkdir(parents=True)
        for name in (*FILES, "3rdparty/npm/a/package-lock.json"):
            work.write(name, "new\n")
        monkeypatch.setattr(Path, "replace", failing)
        with pytest.raises(LockingError, match="No space left on device"):
            work.commit()
    assert [(root / name).read_text() for name in FILES] == ["old\n"] * 3
    assert not list(root.rglob("*.new"))
    assert not list(root.rglob("package-lock.json"))


def test_change_by_others_meanwhile_is_not_overwritten(root: Path) -> None:
    with opened(root) as work:
        work.write(FILES[0], "new\n")
        (root / FILES[0]).write_text("theirs\n")
        with pytest.raises(LockingError, match=r"app\.lock was changed meanwhile"):
            work.commit()
    assert (root / FILES[0]).read_text() == "theirs\n"


def test_only_changed_files_are_written(root: Path) -> None:
    with opened(root) as work:
        work.write(FILES[0], "new\n")
        work.write(FILES[1], "old\n")
        assert work.commit() == [FILES[0]]
    assert (root / FILES[0]).read_text() == "new\n"
