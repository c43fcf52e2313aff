"""The manifest that people write: packages, suite and architectures."""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

from ops.build.debian.lock import ARCHITECTURES


class ManifestError(ValueError):
    """An unusable manifest; the message names the file, the key and what is expected."""


@dataclass(frozen=True)
class Manifest:
    """``packages`` and their dependencies (no Recommends), from ``suite``, for ``architectures``.

    Packages in ``exclude`` count as installed: neither they nor what only they need is locked.
    """

    path: Path
    suite: str
    architectures: tuple[str, ...]
    packages: tuple[str, ...]
    exclude: tuple[str, ...]

    @property
    def lock(self) -> Path:
        """The lock file that belongs to this manifest."""
        return self.path.with_suffix(".lock")


def read(path: Path) -> Manifest:
    """Read and check a manifest. Raises ManifestError."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ManifestError(f"{path}: no such manifest") from None
    except tomllib.TOMLDecodeError as error:
        raise ManifestError(f"{path}: not TOML: {error}") from None
    known = {"suite", "architectures", "packages", "exclude"}
    if unknown := sorted(set(data) - known):
        raise ManifestError(
            f"{path}: unknown key {unknown[0]!r}; known are {', '.join(sorted(known))}"
        )
    suite = data.get("suite")
    if not isinstance(suite, str) or not re.fullmatch(r"[a-z]+", suite):
        raise ManifestError(
            f'{path}: suite must be a code name of Debian such as "trixie", not {suite!r}'
        )
    architectures = _names(path, data, "architectures", list(ARCHITECTURES))
    if wrong := [name for name in architectures if name not in ARCHITECTURES]:
        raise ManifestError(
            f"{path}: architecture {wrong[0]!r} is not one of {', '.join(ARCHITECTURES)}"
        )
    packages = _names(path, data, "packages", [])
    if not packages:
        raise ManifestError(f'{path}: packages must name at least one, as in packages = ["hello"]')
    exclude = _names(path, data, "exclude", [])
    if both := sorted(set(packages) & set(exclude)):
        raise ManifestError(f"{path}: {both[0]} is both in packages and in exclude")
    return Manifest(path, suite, architectures, packages, exclude)


def _names(path: Path, data: dict[str, object], key: str, default: list[str]) -> tuple[str, ...]:
    value = data.get(key, default)
    if not isinstance(value, list) or not all(
        isinstance(item, str) and re.fullmatch(r"[a-z0-9][a-z0-9+.-]+", item) for item in value
    ):
        raise ManifestError(f"{path}: {key} must be a list of names, not {value!r}")
    return tuple(value)
