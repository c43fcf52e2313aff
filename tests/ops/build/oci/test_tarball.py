import hashlib
import io
import random
import tarfile
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.build.oci import tarball
from ops.build.oci.entry import Entry, directory, file, hardlink
from ops.build.oci.errors import OciError
from ops.build.oci.tree import Tree
from tests.ops.build.oci import samples


def written(entries: list[Entry]) -> bytes:
    out = io.BytesIO()
    blob = tarball.write(Tree(entries).entries(), out)
    assert blob.size == len(out.getvalue())
    assert blob.digest == "sha256:" + hashlib.sha256(out.getvalue()).hexdigest()
    return out.getvalue()


@given(samples.trees(), st.randoms(use_true_random=False))
def test_order_of_entries_does_not_matter(entries: list[Entry], chance: random.Random) -> None:
    shuffled = list(entries)
    chance.shuffle(shuffled)
    assert written(shuffled) == written(entries)


@given(samples.trees())
def test_archive_round_trips(entries: list[Entry]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "layer.tar")
        path.write_bytes(written(entries))
        back = {entry.path: entry for entry in tarball.read(path, "")}
    for entry in entries:
        assert back[entry.path].same(entry)
    for path_, entry in back.items():
        made_here = path_ not in {one.path for one in entries}
        assert not made_here or entry.same(directory(path_))


@given(samples.trees())
def test_times_and_owners_are_fixed_and_directories_come_first(entries: list[Entry]) -> None:
    seen: set[str] = set()
    with tarfile.open(fileobj=io.BytesIO(written(entries))) as archive:
        for info in archive:
            assert (info.mtime, info.uname, info.gname) == (tarball.MTIME, "", "")
            parent = info.name.rpartition("/")[0]
            assert not parent or parent in seen
            seen.add(info.name)


def test_bytes_of_a_known_layer_are_stable() -> None:
    # A change here changes the digest of every image that was ever built: do it knowingly.
    data = written([file("app/main.py", b"print()\n"), directory("data", 0o700, 10001, 10001)])
    assert hashlib.sha256(data).hexdigest() == (
        "0535bdcf423ed1bfe3957f7383a538aeea8a1c465493a8d14ab812f1eb92cfb8"
    )


def test_hard_link_follows_its_file_and_has_its_mode() -> None:
    data = written([file("z", b"x", 0o755), hardlink("a", "z")])
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        names = [(info.name, info.type, info.mode, info.linkname) for info in archive]
    assert names == [("z", tarfile.REGTYPE, 0o755, ""), ("a", tarfile.LNKTYPE, 0o755, "z")]


def test_dangling_hard_link_is_refused() -> None:
    with pytest.raises(OciError, match=r"a .* is a hard link to z, which is no file"):
        written([hardlink("a", "z")])


def test_device_in_an_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "layer.tar"
    with tarfile.open(path, "w") as archive:
        info = tarfile.TarInfo("dev/null")
        info.type = tarfile.CHRTYPE
        archive.addfile(info)
    with pytest.raises(OciError, match="//:x: dev/null is a device"):
        list(tarball.read(path, "//:x"))


@given(samples.entries())
def test_file_modes_are_independent_of_the_umask(entry: Entry) -> None:
    normal = file("x", b"", entry.mode).mode
    assert normal == (0o755 if entry.mode & 0o100 else 0o644)
    assert file("x", b"", entry.mode & ~0o077).mode == normal
