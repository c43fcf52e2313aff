import tempfile
from pathlib import Path

import pytest
from hypothesis import given

from ops.build.oci import stack
from ops.build.oci.entry import Entry, directory, file, symlink
from ops.build.oci.errors import OciError
from tests.ops.build.oci import samples


def test_layers_may_repeat_folders_and_equal_files(tmp_path: Path) -> None:
    low, _ = samples.made(tmp_path, "low", file("etc/x", b"12"), directory("data", 0o700, 5, 5))
    high, _ = samples.made(tmp_path, "high", file("etc/x", b"12"), file("etc/y", b"345"))
    assert stack.check([low, high]) == 5


@pytest.mark.parametrize(
    ("high", "why"),
    [
        (file("etc/x", b"2"), "disagree on /etc/x: their contents differ"),
        (file("etc/x", b"1", 0o755), "disagree on /etc/x: one is 0644 0:0, the other 0755 0:0"),
        (file("data/x", b""), "disagree on /data: one is 0700 5:5, the other 0755 0:0"),
        (file("lib/x", b""), "disagree on /lib: one is a symbolic link, the other a folder"),
        (symlink("etc", "/x"), "disagree on /etc: one is a folder, the other a symbolic link"),
    ],
)
def test_conflicting_layers_are_named(tmp_path: Path, high: Entry, why: str) -> None:
    low, _ = samples.made(
        tmp_path,
        "low",
        file("etc/x", b"1"),
        directory("data", 0o700, 5, 5),
        symlink("lib", "usr/lib"),
    )
    with pytest.raises(OciError) as error:
        stack.check([low, samples.made(tmp_path, "high", high)[0]])
    assert why in str(error.value)
    assert "//:low" in str(error.value)
    assert "//:high" in str(error.value)


@given(samples.trees())
def test_layer_never_conflicts_with_itself(entries: list[Entry]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        one, _ = samples.made(Path(folder), "one", *entries)
        assert stack.check([one, one]) == sum(len(entry.content) for entry in entries)
