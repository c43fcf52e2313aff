import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from ops.build.debian import fetch
from ops.build.debian.lock import Package
from ops.build.oci import packages
from ops.build.oci.errors import OciError
from tests.ops.build.oci import samples


def lock(path: Path, *lines: str) -> Path:
    path.write_text("".join(f"{line} 10 {'0' * 64} pool/main/x.deb\n" for line in lines))
    return path


def test_packages_of_lower_layers_are_excluded(tmp_path: Path) -> None:
    base = lock(tmp_path / "base.lock", "amd64 libc6 2.41-1", "arm64 libc6 2.41-1")
    top = lock(
        tmp_path / "top.lock", "amd64 libc6 2.41-1", "amd64 redis 8.0-1", "arm64 redis 8.0-1"
    )
    chosen = packages.select(top, "amd64", [base], "//:redis")
    assert [(one.name, one.architecture) for one in chosen] == [("redis", "amd64")]


def test_two_versions_of_a_package_are_refused(tmp_path: Path) -> None:
    base = lock(tmp_path / "base.lock", "amd64 libc6 2.41-1")
    top = lock(tmp_path / "top.lock", "amd64 libc6 2.41-2")
    with pytest.raises(
        OciError,
        match=r"//:x: top.lock locks libc6 2.41-2, and base.lock below it 2.41-1: refresh",
    ):
        packages.select(top, "amd64", [base], "//:x")


def test_unlocked_architecture_is_refused(tmp_path: Path) -> None:
    top = lock(tmp_path / "top.lock", "amd64 libc6 2.41-2")
    with pytest.raises(
        OciError, match=r"//:x: top.lock locks nothing for arm64: add it to the arch"
    ):
        packages.select(top, "arm64", [], "//:x")


def test_cached_packages_need_no_mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEBIAN_MIRROR", "not an address")
    deb = samples.deb(tmp_path / "x.deb", "x")
    package = locked(deb)
    cache = tmp_path / "cache"
    cache.mkdir()
    deb.rename(fetch.path(cache, package))
    assert packages.gather([package], tmp_path / "debs", cache) == [package]
    assert [path.name for path in (tmp_path / "debs").iterdir()] == [f"{package.sha256}.deb"]


@pytest.mark.parametrize("damage", [samples.flip, samples.truncate, samples.empty])
def test_damaged_package_in_the_cache_is_fetched_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: Callable[[Path], None]
) -> None:
    package = locked(samples.deb(tmp_path / "x.deb", "x"))
    monkeypatch.setenv("DEBIAN_MIRROR", tmp_path.as_uri())
    cache, output = tmp_path / "cache", tmp_path / "debs"
    packages.gather([package], output, cache)
    damage(fetch.path(cache, package))
    packages.gather([package], output, cache)
    for folder in (cache, output):
        content = fetch.path(folder, package).read_bytes()
        assert hashlib.sha256(content).hexdigest() == package.sha256


def test_damaged_package_without_a_mirror_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deb = samples.deb(tmp_path / "x.deb", "x")
    package = locked(deb)
    monkeypatch.setenv("DEBIAN_MIRROR", tmp_path.as_uri())
    packages.gather([package], tmp_path / "first", tmp_path / "cache")
    samples.flip(fetch.path(tmp_path / "cache", package))
    samples.flip(deb)
    with pytest.raises(fetch.FetchError, match="sent SHA-256"):
        packages.gather([package], tmp_path / "second", tmp_path / "cache")
    assert not (tmp_path / "second").exists()


def test_package_modified_during_use_is_refused(tmp_path: Path) -> None:
    package = locked(samples.deb(tmp_path / "x.deb", "x"))
    fetch.fetch([package], tmp_path / "cache", [tmp_path.as_uri()])
    samples.flip(fetch.path(tmp_path / "cache", package))
    with pytest.raises(fetch.FetchError, match="was changed while it was in use"):
        fetch.copy(tmp_path / "cache", package, tmp_path)


def locked(deb: Path) -> Package:
    content = deb.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    return Package("amd64", "x", "1", len(content), digest, deb.name)
