from pathlib import Path

import pytest

from ops.debian import fetch
from ops.debian.lock import Package
from ops.oci import packages
from ops.oci.errors import OciError
from tests.ops.oci import samples


def lock(path: Path, *lines: str) -> Path:
    path.write_text("".join(f"{line} 10 {'0' * 64} pool/main/x.deb\n" for line in lines))
    return path


def test_packages_of_lower_layers_are_left_out(tmp_path: Path) -> None:
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


def test_architecture_that_is_not_locked_is_refused(tmp_path: Path) -> None:
    top = lock(tmp_path / "top.lock", "amd64 libc6 2.41-2")
    with pytest.raises(
        OciError, match=r"//:x: top.lock locks nothing for arm64: add it to the arch"
    ):
        packages.select(top, "arm64", [], "//:x")


def test_what_the_cache_holds_needs_no_mirror(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEBIAN_MIRROR", "not an address")
    deb = samples.deb(tmp_path / "x.deb", "x")
    package = Package("amd64", "x", "1", deb.stat().st_size, "0" * 64, "pool/x.deb")
    cache = tmp_path / "cache"
    cache.mkdir()
    deb.rename(fetch.path(cache, package))
    assert packages.gather([package], tmp_path / "debs", cache) == [package]
    assert [path.name for path in (tmp_path / "debs").iterdir()] == [f"{'0' * 64}.deb"]
