import posixpath

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ops.build.oci import paths
from ops.build.oci.entry import file, symlink
from ops.build.oci.errors import OciError
from tests.ops.build.oci import samples

_parts = st.lists(st.sampled_from(["..", ".", "", "a", "b", "usr"]), min_size=1, max_size=8)


@given(_parts)
def test_no_path_leaves_the_root(parts: list[str]) -> None:
    path = "/".join(parts)
    if ".." in parts:
        with pytest.raises(OciError, match=r"//:x: .* would leave the image's root"):
            paths.normal(path, "//:x")
    else:
        normal = paths.normal(path, "//:x")
        assert not normal.startswith("/")
        assert normal == "" or posixpath.normpath(normal) == normal


@given(samples.paths, _parts)
def test_no_relative_link_climbs_above_the_root(path: str, parts: list[str]) -> None:
    target = "/".join(parts)
    assume(target and not target.startswith("/"))
    inside = "/root-of-image"
    above = posixpath.dirname(f"{inside}/{path}")
    steps = target.split("/")
    climbs = any(
        not (posixpath.normpath(posixpath.join(above, *steps[:count])) + "/").startswith(
            inside + "/"
        )
        for count in range(1, len(steps) + 1)
    )
    if climbs:
        with pytest.raises(OciError, match="would leave the image's root"):
            symlink(path, target)
    else:
        assert symlink(path, target).target == target


@given(samples.paths)
def test_canonical_path_is_stable(path: str) -> None:
    once = paths.canonical(path)
    assert paths.canonical(once) == once


@pytest.mark.parametrize(
    ("given_path", "expected"),
    [
        ("lib/x86_64-linux-gnu/libc.so.6", "usr/lib/x86_64-linux-gnu/libc.so.6"),
        ("bin/sh", "usr/bin/sh"),
        ("bin", "bin"),
        ("var/run/postgresql", "run/postgresql"),
        ("var/lock/x", "run/lock/x"),
        ("library/x", "library/x"),
    ],
)
def test_links_of_the_debian_layout_are_followed(given_path: str, expected: str) -> None:
    assert paths.canonical(given_path) == expected


def test_whiteout_is_refused() -> None:
    with pytest.raises(OciError, match=r"//:x: etc/\.wh\.passwd would hide files of lower layers"):
        file("etc/.wh.passwd", b"", origin="//:x")
