"""Mirrors are found where people and apt put them."""

from pathlib import Path

import pytest

from ops.debian.mirrors import MirrorError, find

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


def test_both_formats_of_apt_are_read_and_other_vendors_left_out(tmp_path: Path) -> None:
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


def test_the_variable_wins(tmp_path: Path) -> None:
    (tmp_path / "sources.list").write_text("deb http://list.test/debian trixie main\n")
    environ = {"DEBIAN_MIRROR": "http://a.test/x/ http://b.test/debian/20260101T000000Z"}
    assert find(environ, tmp_path) == [
        "http://a.test/x",
        "http://b.test/debian/20260101T000000Z",
        "http://b.test/debian-security/20260101T000000Z",
    ]


def test_without_any_the_message_says_what_to_set(tmp_path: Path) -> None:
    with pytest.raises(MirrorError, match="Set DEBIAN_MIRROR"):
        find({}, tmp_path)


def test_a_wrong_variable_is_named(tmp_path: Path) -> None:
    with pytest.raises(MirrorError, match="DEBIAN_MIRROR: 'ftp://x'"):
        find({"DEBIAN_MIRROR": "ftp://x"}, tmp_path)
