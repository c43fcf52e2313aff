"""Manifests: reading, editing, and the upper bounds of this repository."""

from pathlib import Path

import pytest

from ops.build.locks import manifests
from ops.build.locks.errors import LockingError
from ops.build.locks.locks import LOCKS, pins


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: Path(lock.manifest).stem)
def test_each_requirement_has_an_upper_bound_or_a_comment_that_says_why_not(
    lock: object,
) -> None:
    manifest = Path(lock.manifest).read_text(encoding="utf-8")  # type: ignore[attr-defined]
    assert not manifests.unbounded(manifest), (
        "add a bound such as <3 before the next version that may break it silently, or a comment"
        f" with '{manifests.UNBOUNDED}' and the reason"
    )


def test_service_is_bounded_and_every_requirement_is_locked() -> None:
    text = Path(LOCKS[0].manifest).read_text(encoding="utf-8")
    assert manifests.needs_bound(text, "The service")
    for lock in LOCKS:
        wanted = manifests.requirements(Path(lock.manifest).read_text(encoding="utf-8"))
        assert wanted.keys() <= pins(Path(lock.path).read_text(encoding="utf-8")).keys()


def test_unbounded_requirement_is_found() -> None:
    text = "# The service\na<2\nb\nc>=1\nd~=1.0\ne==1\nf  # No upper bound: it is ours\ng!=2\n"
    assert manifests.unbounded(text) == ["b", "c", "g"]
    assert manifests.unbounded("# No upper bounds: tests notice\na\n\n# The service\nb\n") == ["b"]


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("12.5.2", "<13"),
        ("0.60b0", "<0.61"),
        ("0.0.32", "<0.1"),
        ("2026.6", "<2027"),
        ("1!4", "<5"),
    ],
)
def test_bound_excludes_the_next_incompatible_release(version: str, expected: str) -> None:
    assert manifests.bound(version) == expected


def test_requirement_is_added_in_order_and_removed_without_other_changes() -> None:
    text = "# The service\nalpha<2\n# about gamma\ngamma<3\n\n# Tests\nbeta\n"
    for line in ("aa<1", "delta[x]<3 ; sys_platform == 'linux'", "zz"):
        added = manifests.add(text, manifests.parse(line), "The service")
        assert line in added.splitlines()
        assert added.index(line) < added.index("# Tests")
        assert manifests.remove(added, line.split("<")[0].partition("[")[0]) == text
    assert manifests.add(text, manifests.parse("aa"), "Tests").endswith("# Tests\naa\nbeta\n")


@pytest.mark.parametrize("line", ["", "-r other.txt", "a b", "acme @ file:///a.whl", "--pre"])
def test_other_lines_are_refused(line: str) -> None:
    with pytest.raises(LockingError):
        manifests.parse(line)
