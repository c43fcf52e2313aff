"""A copy of the files that `make lock` changes, which replaces them all at once or not at all."""

import fcntl
import os
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ops.build.locks.errors import LockingError

_FILES = (
    "3rdparty/python/*.txt",
    "3rdparty/python/*.lock",
    "3rdparty/python/*.wheels",
    "3rdparty/python/BUILD",
    "3rdparty/npm/*/*.json",
    "3rdparty/pants/*.txt",
    "3rdparty/pants/*.lock",
    "3rdparty/debian/*.toml",
    "3rdparty/debian/*.lock",
    "pyproject.toml",
)


class Workspace:
    """Files are read and written by their path in the repository, in a temporary directory."""

    def __init__(self, root: Path, folder: Path) -> None:
        self.root = root
        self.folder = folder
        self._before = _contents(root)
        #: Whether `commit` has replaced the files.
        self.written = False
        for name, content in self._before.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)

    def read(self, name: str) -> str:
        """The text of a file as changed so far; empty if there is none."""
        file = self.folder / name
        return file.read_text(encoding="utf-8") if file.exists() else ""

    def before(self, name: str) -> str:
        """The text of a file in the repository; empty if there was none."""
        return self._before.get(name, b"").decode("utf-8")

    def write(self, name: str, text: str) -> None:
        """Change a file, in the copy."""
        (self.folder / name).write_text(text, encoding="utf-8")

    def changed(self) -> dict[str, bytes]:
        """The new contents of changed files."""
        contents = _contents(self.folder)
        return {name: new for name, new in contents.items() if new != self._before.get(name)}

    def commit(self) -> list[str]:
        """Replace the changed files in the repository; returns their names.

        Signals wait meanwhile. Raises LockingError, with the repository as it was, if a file was
        changed since, or cannot be written.
        """
        changed = self.changed()
        for name in changed:
            file = self.root / name
            if (file.read_bytes() if file.exists() else b"") != self._before.get(name, b""):
                raise LockingError(f"{name} was changed meanwhile. Nothing was changed; run again")
        fresh = {name: self.root / f"{name}.new" for name in changed}
        blocked = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
        signal.pthread_sigmask(signal.SIG_BLOCK, blocked)
        done: list[str] = []
        try:
            for name, content in changed.items():
                fresh[name].write_bytes(content)
            for name in changed:
                fresh[name].replace(self.root / name)
                done.append(name)
            self.written = True
        except OSError as error:
            for name in done:
                if name in self._before:
                    (self.root / name).write_bytes(self._before[name])
                else:
                    (self.root / name).unlink()
            raise LockingError(f"{error.filename}: {error.strerror}. Nothing was changed") from None
        finally:
            for path in fresh.values():
                path.unlink(missing_ok=True)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, blocked)
        return done


def _contents(root: Path) -> dict[str, bytes]:
    files = (file for pattern in _FILES for file in sorted(root.glob(pattern)))
    return {str(file.relative_to(root)): file.read_bytes() for file in files}


@contextmanager
def opened(root: Path) -> Iterator[Workspace]:
    """A workspace for one run; others are refused meanwhile. Raises LockingError."""
    folder = os.open(root / "3rdparty", os.O_RDONLY)
    try:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise LockingError("another `make lock` runs in this checkout; wait for it") from None
        with tempfile.TemporaryDirectory(prefix="lock-") as place:
            yield Workspace(root, Path(place))
    finally:
        os.close(folder)
