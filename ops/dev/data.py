"""The data folder of `make up`: one run at a time, passwords generated once."""

import fcntl
import json
import os
import secrets
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from ops.dev.errors import UpError


@dataclass(frozen=True)
class Secrets:
    """Passwords of this folder's servers and of the first admin, and the service's keys."""

    postgres: str
    service: str
    redis: str
    admin: str
    signing: str
    encryption: str


# Folders of earlier versions have no keys.
_LATER = ("signing", "encryption")


@contextmanager
def claim(folder: Path) -> Iterator[int]:
    """Lock the folder for this run; yields the lock's file descriptor.

    A process that inherits the descriptor holds the lock too. Raises UpError if another run holds
    it, or the folder cannot be created or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = os.open(folder / "up.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise UpError(
            f"{folder} is not usable as data directory ({error.strerror}): fix it, or "
            "choose another directory with UP_DATA"
        ) from None
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.pread(file, 32, 0).decode("ascii", "replace").strip() or "unknown"
            raise UpError(
                f"another `make up` uses {folder} (process {holder}): stop it with "
                "Ctrl-C, or choose another directory with UP_DATA"
            ) from None
        os.ftruncate(file, 0)
        os.pwrite(file, f"{os.getpid()}\n".encode(), 0)
        yield file
    finally:
        os.close(file)


def passwords(folder: Path) -> Secrets:
    """The folder's secrets, generated on the first run. Raises UpError if the file is damaged."""
    path = folder / "secrets.json"
    names = [field.name for field in fields(Secrets)]
    if not path.exists():
        return _keep(path, {name: secrets.token_urlsafe(32) for name in names})
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        if set(kept) == set(names) - set(_LATER):
            return _keep(path, {**kept, **{name: secrets.token_urlsafe(32) for name in _LATER}})
        return Secrets(**kept)
    except OSError as error:
        raise UpError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, TypeError):
        raise UpError(
            f"{path} is damaged: it must contain the passwords {', '.join(names)}. Restore it, or "
            f"remove {folder} to start over"
        ) from None


def write_settings(folder: Path, settings: Mapping[str, str]) -> Path:
    """Write the settings of this run, for commands and debuggers. Returns the file."""
    lines = [f"{name}={shlex.quote(value)}\n" for name, value in settings.items()]
    return _write(folder / "up.env", "".join(lines))


def _keep(path: Path, values: dict[str, str]) -> Secrets:
    made = Secrets(**values)
    _write(path, json.dumps(asdict(made), indent=2) + "\n")
    return made


def _write(path: Path, text: str) -> Path:
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    fresh.touch(mode=0o600)
    fresh.write_text(text, encoding="utf-8")
    return fresh.replace(path)
