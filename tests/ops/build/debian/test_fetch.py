"""Downloads are verified, cached by content, and fall back from mirror to mirror."""

from pathlib import Path

import pytest

from ops.build.debian.fetch import FetchError, fetch
from tests.ops.build.debian.samples import Mirror, package

GOOD = b"the content that was locked"
HELLO = package("hello", GOOD)


def test_cached_package_is_not_requested_again(tmp_path: Path, mirror: Mirror) -> None:
    mirror.add(HELLO, GOOD)
    first = fetch([HELLO], tmp_path / "cache", [mirror.url])
    second = fetch([HELLO], tmp_path / "cache", [mirror.url])
    assert first == second == [tmp_path / "cache" / f"{HELLO.sha256}.deb"]
    assert first[0].read_bytes() == GOOD
    assert len(mirror.asked) == 1


def test_files_are_returned_in_the_requested_order(tmp_path: Path, mirror: Mirror) -> None:
    packages = [package(f"p{number:02}", b"content %d" % number) for number in range(20)]
    for number, one in enumerate(packages):
        mirror.add(one, b"content %d" % number)
    files = fetch(packages, tmp_path / "cache", [mirror.url])
    assert [file.stem for file in files] == [one.sha256 for one in packages]


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (b"The content that was locked", "sent SHA-256"),
        (GOOD + b"!", f"sent {len(GOOD) + 1} bytes, the lock says {len(GOOD)}"),
    ],
)
def test_wrong_content_is_refused_by_package(
    tmp_path: Path, mirror: Mirror, sent: bytes, said: str
) -> None:
    mirror.add(HELLO, sent)
    with pytest.raises(FetchError) as caught:
        fetch([HELLO], tmp_path / "cache", [mirror.url])
    assert "hello 1.0-1 (amd64)" in str(caught.value)
    assert said in str(caught.value)
    assert list((tmp_path / "cache").iterdir()) == []


def test_missing_file_is_explained_with_a_remedy(tmp_path: Path, mirror: Mirror) -> None:
    gone = package("gone", b"x")
    mirror.add(HELLO, GOOD)
    with pytest.raises(FetchError) as caught:
        fetch([HELLO, gone], tmp_path / "cache", [mirror.url])
    message = str(caught.value)
    assert "gone 1.0-1 (amd64)" in message
    assert "HTTP 404" in message
    assert "make lock" in message
    assert "DEBIAN_MIRROR" in message
    assert "hello" not in message


def test_second_mirror_serves_missing_or_different_files(
    tmp_path: Path, mirror: Mirror, snapshot: Mirror
) -> None:
    other = package("other", b"old")
    mirror.add(other, b"new")
    snapshot.add(HELLO, GOOD)
    snapshot.add(other, b"old")
    files = fetch([HELLO, other], tmp_path / "cache", [mirror.url, snapshot.url])
    assert [file.read_bytes() for file in files] == [GOOD, b"old"]
    assert len(mirror.asked) == 2


def test_unresponsive_mirror_is_skipped(tmp_path: Path, mirror: Mirror) -> None:
    mirror.add(HELLO, GOOD)
    assert fetch([HELLO], tmp_path / "cache", ["http://127.0.0.1:9", mirror.url])


def test_directory_can_be_a_mirror(tmp_path: Path, mirror: Mirror) -> None:
    mirror.add(HELLO, GOOD)
    assert fetch([HELLO], tmp_path / "cache", [mirror.folder.as_uri()])
    assert mirror.asked == []
