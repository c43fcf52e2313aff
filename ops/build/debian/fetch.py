"""Downloads locked packages into a cache that is addressed by content."""

import hashlib
import http.client
import os
import sys
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ops.debian.lock import Package

_BLOCK = 1 << 20
_TIMEOUT = 60.0
_TRIES = 2


class FetchError(RuntimeError):
    """Packages that no mirror gave; the message has a paragraph for each and says what to do."""


class _Wrong(Exception):
    """What a mirror sent is not what the lock names."""


def _quiet(_: Package) -> None:
    pass


def fetch(
    packages: Iterable[Package],
    cache_dir: Path,
    mirrors: Iterable[str],
    *,
    parallel: int = 8,
    progress: Callable[[Package], None] = _quiet,
) -> list[Path]:
    """Return the file of each package, in the order given, downloading those the cache lacks.

    A file in the cache is ``cache_dir/SHA256.deb``. It appears there by a rename after its size and
    SHA-256 were checked, so an interrupted or parallel run leaves no half file. All mirrors are
    tried in order. ``progress`` is called after each download. Raises FetchError.
    """
    wanted = list(packages)
    bases = list(mirrors)
    cache_dir.mkdir(parents=True, exist_ok=True)
    missing = {p.sha256: p for p in wanted if not _cached(cache_dir, p)}

    def one(package: Package) -> str | None:
        reasons = _download(package, cache_dir, bases)
        if reasons is None:
            progress(package)
            return None
        return _explain(package, reasons)

    with ThreadPoolExecutor(max_workers=max(1, parallel)) as pool:
        failures = [failure for failure in pool.map(one, missing.values()) if failure]
    if failures:
        raise FetchError("\n".join(failures))
    return [path(cache_dir, package) for package in wanted]


def path(cache_dir: Path, package: Package) -> Path:
    """Where the cache keeps a package."""
    return cache_dir / f"{package.sha256}.deb"


def _cached(cache_dir: Path, package: Package) -> bool:
    file = path(cache_dir, package)
    return file.is_file() and file.stat().st_size == package.size


def _download(package: Package, cache_dir: Path, mirrors: list[str]) -> list[str] | None:
    """None when the package is now in the cache, else what went wrong at each mirror."""
    reasons: list[str] = []
    for mirror in mirrors:
        url = f"{mirror.rstrip('/')}/{urllib.parse.quote(package.path, safe='/+~:')}"
        for attempt in range(1, _TRIES + 1):
            try:
                _save(package, cache_dir, url)
            except _Wrong as wrong:
                reasons.append(f"{mirror}: {wrong}")
            except urllib.error.HTTPError as error:
                if error.code >= 500 and attempt < _TRIES:
                    continue
                reasons.append(f"{mirror}: HTTP {error.code} {error.reason}")
            except (OSError, http.client.HTTPException) as error:
                if attempt < _TRIES:
                    continue
                reasons.append(f"{mirror}: {error}")
            else:
                return None
            break
    return reasons or ["no mirror is known"]


def _save(package: Package, cache_dir: Path, url: str) -> None:
    digest, size = hashlib.sha256(), 0
    descriptor, name = tempfile.mkstemp(dir=cache_dir, prefix=".part-")
    part = Path(name)
    try:
        with (
            os.fdopen(descriptor, "wb") as file,
            # The scheme was checked where the mirrors come from; the content is checked below.
            urllib.request.urlopen(url, timeout=_TIMEOUT) as reply,
        ):
            while block := reply.read(_BLOCK):
                digest.update(block)
                size += len(block)
                file.write(block)
        if size != package.size:
            raise _Wrong(f"sent {size} bytes, the lock says {package.size}")
        if digest.hexdigest() != package.sha256:
            raise _Wrong(f"sent SHA-256 {digest.hexdigest()}, the lock says {package.sha256}")
        part.chmod(0o644)
        part.replace(path(cache_dir, package))
    finally:
        part.unlink(missing_ok=True)


def _explain(package: Package, reasons: list[str]) -> str:
    tried = "".join(f"\n    {reason}" for reason in reasons)
    return (
        f"{package}: no mirror gave {package.path} as locked:{tried}\n"
        "  Debian drops a file when a newer version takes its place: refresh the locks with "
        "`make lock`, or set DEBIAN_MIRROR to a snapshot that still has it."
    )


def note(package: Package) -> None:
    """Progress for people: a line on stderr for each download."""
    print(f"debian: {package}, {package.size / 1e6:.1f} MB", file=sys.stderr, flush=True)
