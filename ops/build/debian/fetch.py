"""Downloads locked packages into a content-addressed cache."""

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

from ops.build.debian.lock import Package
from ops.build.debian.mirrors import public

_BLOCK = 1 << 20
_TIMEOUT = 60.0
_TRIES = 2


class FetchError(RuntimeError):
    """Packages that no mirror provided; the message has a paragraph with a remedy for each."""


class _Wrong(Exception):
    """A mirror's file does not match the lock."""


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

    A file in the cache is ``cache_dir/SHA256.deb``. It is renamed into place after its size and
    SHA-256 were verified, so an interrupted or parallel run leaves no partial file. Cached files
    are verified each time, too, and replaced if damaged. All mirrors are tried in order, and
    ``mirrors`` is read only when something has to be downloaded. ``progress`` is called after each
    download. Raises FetchError.
    """
    wanted = list(packages)
    cache_dir.mkdir(parents=True, exist_ok=True)
    missing = {p.sha256: p for p in wanted if not _intact(cache_dir, p)}
    bases = list(mirrors) if missing else []

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
    """The path of a package in the cache."""
    return cache_dir / f"{package.sha256}.deb"


def copy(cache_dir: Path, package: Package, folder: Path) -> None:
    """Copy a package's file out of the cache, under the same name.

    What is written is what was verified. Raises FetchError if the file changed after `fetch`
    returned it.
    """
    content = path(cache_dir, package).read_bytes()
    if hashlib.sha256(content).hexdigest() != package.sha256:
        raise FetchError(f"{package}: the file in {cache_dir} was changed while it was in use")
    path(folder, package).write_bytes(content)


def _intact(cache_dir: Path, package: Package) -> bool:
    """Whether the cache holds the package with the content that the lock names."""
    file = path(cache_dir, package)
    if not file.is_file():
        return False
    with file.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
    if digest == package.sha256:
        return True
    print(
        f"debian: {package}: the cached file is damaged (SHA-256 {digest}); fetching it again",
        file=sys.stderr,
        flush=True,
    )
    return False


def _download(package: Package, cache_dir: Path, mirrors: list[str]) -> list[str] | None:
    """None if the package is now in the cache, else the problem at each mirror."""
    reasons: list[str] = []
    for mirror in mirrors:
        url = f"{mirror.rstrip('/')}/{urllib.parse.quote(package.path, safe='/+~:')}"
        for attempt in range(1, _TRIES + 1):
            try:
                _save(package, cache_dir, url)
            except _Wrong as wrong:
                reasons.append(f"{public(mirror)}: {wrong}")
            except urllib.error.HTTPError as error:
                if error.code >= 500 and attempt < _TRIES:
                    continue
                reasons.append(f"{public(mirror)}: HTTP {error.code} {error.reason}")
            except (OSError, http.client.HTTPException) as error:
                if attempt < _TRIES:
                    continue
                reasons.append(public(f"{mirror}: {error}"))
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
            # The scheme was checked with the mirrors; the content is checked below.
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
    """Progress for users: a line on stderr for each download."""
    print(f"debian: {package}, {package.size / 1e6:.1f} MB", file=sys.stderr, flush=True)
