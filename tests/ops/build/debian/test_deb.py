"""Packages are unpacked as dpkg would, and never outside their directory."""

import tarfile
from pathlib import Path

import pytest

from ops.build.debian.deb import DebError, members, unpack
from tests.ops.build.debian.samples import deb, file, special


@pytest.mark.parametrize("member", ["data.tar.xz", "data.tar.gz", "data.tar"])
def test_files_modes_and_links_are_unpacked(tmp_path: Path, member: str) -> None:
    package = deb(
        tmp_path / "a.deb",
        special("./", tarfile.DIRTYPE),
        special("./usr/bin/", tarfile.DIRTYPE),
        file("./usr/bin/tool", b"#!", 0o755),
        special("./usr/bin/same", tarfile.LNKTYPE, "./usr/bin/tool"),
        special("./usr/bin/alias", tarfile.SYMTYPE, "tool"),
        special("./etc/absolute", tarfile.SYMTYPE, "/nowhere/at/all"),
        file("./usr/share/doc", b"text", 0o644),
        member=member,
    )
    root = tmp_path / "root"
    unpack(package, root)
    assert (root / "usr/bin/tool").read_bytes() == b"#!"
    assert (root / "usr/bin/tool").stat().st_mode & 0o777 == 0o755
    assert (root / "usr/share/doc").stat().st_mode & 0o777 == 0o644
    assert (root / "usr/bin/same").samefile(root / "usr/bin/tool")
    assert (root / "usr/bin/alias").readlink() == Path("tool")
    assert (root / "etc/absolute").readlink() == Path("/nowhere/at/all")


def test_members_have_normal_names_and_content(tmp_path: Path) -> None:
    package = deb(
        tmp_path / "a.deb",
        special("./", tarfile.DIRTYPE),
        special("./usr/", tarfile.DIRTYPE),
        file("./usr/a", b"1"),
        special("./usr/b", tarfile.LNKTYPE, "./usr/a"),
    )
    found = [(info.name, info.linkname, content) for info, content in members(package)]
    assert found == [("usr", "", None), ("usr/a", "", b"1"), ("usr/b", "usr/a", None)]


def test_second_package_adds_to_the_same_directories(tmp_path: Path) -> None:
    root = tmp_path / "root"
    for name in ("a", "b"):
        unpack(
            deb(
                tmp_path / f"{name}.deb", special("./usr/", tarfile.DIRTYPE), file(f"./usr/{name}")
            ),
            root,
        )
    assert sorted(path.name for path in (root / "usr").iterdir()) == ["a", "b"]


@pytest.mark.parametrize(
    "entries",
    [
        [file("../escape")],
        [file("./usr/../../escape")],
        [file("/escape")],
        [special("./out", tarfile.SYMTYPE, ".."), file("./out/escape")],
        [
            special("./out", tarfile.SYMTYPE, "/tmp"),
            special("./out/", tarfile.DIRTYPE),
            file("./out/escape"),
        ],
        [special("./in", tarfile.LNKTYPE, "../secret")],
        [special("./null", tarfile.CHRTYPE)],
    ],
    ids=[
        "parent",
        "inner-parent",
        "absolute",
        "symlink",
        "symlink-then-folder",
        "hard-link",
        "device",
    ],
)
def test_nothing_is_written_outside_the_directory(
    tmp_path: Path, entries: list[tuple[tarfile.TarInfo, bytes]]
) -> None:
    (tmp_path / "secret").write_text("kept")
    package = deb(tmp_path / "bad.deb", *entries)
    with pytest.raises(DebError, match=r"bad\.deb"):
        unpack(package, tmp_path / "root")
    assert not (tmp_path / "escape").exists()
    assert not Path("/tmp/escape").exists()


@pytest.mark.parametrize("damage", ["empty", "text", "cut", "no data"])
def test_damaged_package_is_named(tmp_path: Path, damage: str) -> None:
    whole = deb(tmp_path / "whole.deb", file("./a", b"content" * 100)).read_bytes()
    broken = tmp_path / "broken.deb"
    broken.write_bytes(
        {"empty": b"", "text": b"hello", "cut": whole[:-40], "no data": whole[:72]}[damage]
    )
    with pytest.raises(DebError, match=r"broken\.deb"):
        list(members(broken))
