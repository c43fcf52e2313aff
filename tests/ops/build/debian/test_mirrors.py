"""Mirrors are found where people and apt configure them."""

from pathlib import Path

import pytest

from ops.build.debian.mirrors import NOTE, MirrorError, find, public

DEB822 = """\
Types: deb
# a comment
URIs: http://one.test/debian/
  https://two.test/mirror
Suites: trixie trixie-updates
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 abc

Types: deb-src
URIs: http://sources.test/debian
Suites: trixie

Enabled: no
Types: deb
URIs: http://disabled.test/debian
Suites: trixie

Types: deb
URIs: http://security.test/debian-security
Suites: trixie-security

Types: deb
URIs: http://vendor.test/apt
Suites: nodistro
"""


def test_both_apt_formats_are_read_and_other_vendors_ignored(tmp_path: Path) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list.d/debian.sources").write_text(DEB822)
    (tmp_path / "sources.list").write_text(
        "# deb http://off.test/debian trixie main\n"
        "deb [arch=amd64 signed-by=/k.gpg] http://list.test/pub bookworm main contrib\n"
        "deb http://vendor.test/x stable-of-theirs main\n"
        "deb cdrom:[Debian]/ trixie main\n"
    )
    assert find({}, tmp_path) == [
        "http://list.test/pub",
        "http://one.test/debian",
        "https://two.test/mirror",
        "http://security.test/debian-security",
        "http://one.test/debian-security",
    ]


def test_environment_variable_takes_precedence(tmp_path: Path) -> None:
    (tmp_path / "sources.list").write_text("deb http://list.test/debian trixie main\n")
    environ = {"DEBIAN_MIRROR": "http://a.test/x/ http://b.test/debian/20260101T000000Z"}
    assert find(environ, tmp_path) == [
        "http://a.test/x",
        "http://b.test/debian/20260101T000000Z",
        "http://b.test/debian-security/20260101T000000Z",
    ]


def test_launchers_file_replaces_the_variable(tmp_path: Path) -> None:
    (tmp_path / NOTE).write_text("http://noted.test/x\n")
    environ = {"FASTAPI_BASE_CACHE": str(tmp_path)}
    assert find(environ, tmp_path) == ["http://noted.test/x"]
    assert find({**environ, "DEBIAN_MIRROR": "http://a.test/x"}, tmp_path) == ["http://a.test/x"]


def test_passwords_in_urls_are_not_shown() -> None:
    text = "http://somebody:secret@a.test/x and https://b.test/@c"
    assert public(text) == "http://a.test/x and https://b.test/@c"


def test_missing_mirror_explains_what_to_set(tmp_path: Path) -> None:
    with pytest.raises(MirrorError, match="Set DEBIAN_MIRROR"):
        find({}, tmp_path)


def test_invalid_variable_is_named(tmp_path: Path) -> None:
    with pytest.raises(MirrorError, match="DEBIAN_MIRROR: 'ftp://x'"):
        find({"DEBIAN_MIRROR": "ftp://x"}, tmp_path)
