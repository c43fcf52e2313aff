"""Locked packages that the suite or its security archive has replaced are found."""

from dataclasses import replace

from ops.build.debian.lock import Package
from ops.ci.scan import debian

LOCKED = Package("amd64", "hello", "2.10-3", 9, "0" * 64, "pool/main/h/hello/hello_2.10-3.deb")


def test_current_package_is_not_a_finding() -> None:
    assert list(debian.behind("redis", [LOCKED], [LOCKED])) == []


def test_newer_version_is_named_with_its_archive() -> None:
    mended = replace(LOCKED, version="2.10-3+deb13u1", path="pool/updates/main/h/hello/hello.deb")
    [found] = debian.behind("redis", [LOCKED], [mended])
    assert found.name == "debian/redis/hello"
    assert found.text == "2.10-3 is locked, the security archive has 2.10-3+deb13u1"
    [found] = debian.behind("redis", [LOCKED], [replace(mended, path=LOCKED.path)])
    assert "the suite has" in found.text


def test_package_no_longer_needed_is_not_a_finding() -> None:
    other = replace(LOCKED, name="world", version="1")
    assert list(debian.behind("redis", [LOCKED], [other])) == []
