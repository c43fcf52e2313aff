import pytest

from ops.build.oci.entry import directory, file, symlink
from ops.build.oci.errors import OciError
from ops.build.oci.tree import Tree


def test_both_packages_that_conflict_on_a_file_are_named() -> None:
    tree = Tree([file("etc/x.conf", b"1", origin="//:os (one)")])
    with pytest.raises(
        OciError,
        match=r"//:os \(one\) and //:os \(two\) disagree on /etc/x.conf: their contents",
    ):
        tree.add(file("etc/x.conf", b"2", origin="//:os (two)"))


@pytest.mark.parametrize(
    ("other", "difference"),
    [
        (file("x", b"1", 0o755), "one is 0644 0:0, the other 0755 0:0"),
        (directory("x"), "one is a file, the other a folder"),
        (symlink("x", "/y"), "one is a file, the other a symbolic link"),
    ],
)
def test_difference_is_described(other: object, difference: str) -> None:
    tree = Tree([file("x", b"1")])
    with pytest.raises(OciError, match=difference):
        tree.add(other)  # type: ignore[arg-type]


def test_identical_files_are_merged() -> None:
    tree = Tree([file("x", b"1", origin="a"), file("x", b"1", origin="b")])
    assert [entry.path for entry in tree.entries()] == ["x"]


def test_file_below_a_link_is_refused() -> None:
    tree = Tree([symlink("bin", "usr/bin", "//:os"), file("bin/x", b"", origin="//:app")])
    with pytest.raises(OciError, match=r"bin/x .* lies below bin, which is a symbolic link"):
        list(tree.entries())
