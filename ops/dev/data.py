"""The folder in which `make up` keeps its data: one run at a time, passwords made once."""

import fcntl
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from ops.dev.errors import UpError


@dataclass(frozen=True)
class Secrets:
    """Passwords of this folder's servers and of the first admin."""

    postgres: str
    service: str
    redis: str
    admin: str


@contextmanager
def claim(folder: Path) -> Iterator[int]:
    """Hold the folder for this run; yields the lock's file descriptor.

    Whoever inherits the descriptor holds the lock too. Raises UpError when another run has it, or
    the folder cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = os.open(folder / "up.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise UpError(
            f"{folder} cannot hold the data ({error.strerror}): mend that, or choose another place "
            "with UP_DATA"
        ) from None
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.pread(file, 32, 0).decode("ascii", "replace").strip() or "unknown"
            raise UpError(
                f"it runs already on the data in {folder} (process {holder}): stop that one with "
                "Ctrl-C, or choose another place with UP_DATA"
            ) from None
        os.ftruncate(file, 0)
        os.pwrite(file, f"{os.getpid()}\n".encode(), 0)
        yield file
    finally:
        os.close(file)


def passwords(folder: Path) -> Secrets:
    """The folder's passwords, made on the first run. Raises UpError when the file is damaged."""
    path = folder / "secrets.json"
    names = [field.name for field in fields(Secrets)]
    if not path.exists():
        made = Secrets(**{name: secrets.token_urlsafe(16) for name in names})
        fresh = path.with_suffix(".new")
        fresh.touch(mode=0o600)
        fresh.write_text(json.dumps(asdict(made), indent=2) + "\n", encoding="utf-8")
        fresh.replace(path)
    try:
        return Secrets(**json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise UpError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, TypeError):
        raise UpError(
            f"{path} is damaged: it must hold the passwords {', '.join(names)}. Put it back, or "
            f"remove {folder} to start anew"
        ) from None
