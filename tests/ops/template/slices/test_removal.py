"""Each slice can be removed from this repository, and the rest works on its own."""

import importlib.metadata
import re
from collections.abc import Iterable
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from ops.template.slices import prove, texts
from ops.template.slices.check import problems
from ops.template.slices.manifest import dependents, load
from ops.template.slices.remove import LOCK, REQUIREMENTS

SLICES = load(Path())
NAMES = sorted(SLICES)
#: Those that know the routes, scopes, tables, settings and pages.
TESTS = (
    "tests/unit/api/test_access.py",
    "tests/unit/api/test_caching.py",
    "tests/unit/api/test_openapi.py",
    "tests/unit/core/test_config.py",
    "tests/unit/core/test_env_example.py",
    "tests/unit/models",
    "tests/integration/api/test_query_counts.py",
    *prove.TESTS,
)


def test_manifests_and_marks_are_right() -> None:
    assert NAMES
    assert problems(Path()) == []


def test_nightly_run_proves_every_slice() -> None:
    text = Path(".github/workflows/nightly.yml").read_text(encoding="utf-8")
    assert yaml.safe_load(text)["jobs"]["slices"]["strategy"]["matrix"]["slice"] == NAMES
    assert f"# begin slice: {', '.join(NAMES)}\n" in text


@pytest.fixture(scope="module")
def minimal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository without any slice."""
    tree = tmp_path_factory.mktemp("trees") / "without all"
    prove.without(Path(), tree, NAMES)
    return tree


def test_nothing_is_left_of_any_slice(minimal: Path) -> None:
    files = [
        minimal / "Makefile",
        minimal / "README.md",
        *(path for place in ("src", "ops", "docs") for path in (minimal / place).rglob("*")),
    ]
    left = re.compile(rf"slice: ({'|'.join(NAMES)})\b|SLICE=({'|'.join(NAMES)})\b")
    found = [
        str(file.relative_to(minimal))
        for file in files
        if file.suffix in ("", ".py", ".md", ".toml")
        and file.is_file()
        # Decisions, and the commands themselves and their page, which have examples.
        and file.parent.name not in ("decisions", "slices")
        and file != minimal / "docs/slices.md"
        and left.search(file.read_text(encoding="utf-8"))
    ]
    assert found == []


@pytest.mark.parametrize("step", [prove.lint, prove.build_files, prove.app])
def test_tree_without_all_slices_is_whole(minimal: Path, step: object) -> None:
    assert callable(step)
    assert step(minimal) == ""


def test_marks_are_right_without_all_slices(minimal: Path) -> None:
    assert problems(minimal) == []


def test_remaining_tests_pass_without_all_slices(minimal: Path) -> None:
    assert prove.tests(minimal, *TESTS) == ""


@pytest.mark.parametrize("name", NAMES)
def test_tree_without_one_slice_is_whole(name: str, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    gone = {
        str(file.relative_to(tree))
        for file in prove.without(Path(), tree, [name, *dependents([name], SLICES)])
    }
    assert f"ops/template/slices/manifests/{name}.toml" in gone
    assert [step(tree) for step in (prove.lint, prove.build_files, prove.app)] == ["", "", ""]
    locked = texts.packages((tree / LOCK).read_text("utf-8"))
    assert locked == needed((tree / REQUIREMENTS).read_text("utf-8")) | elsewhere()


def needed(requirements: str) -> set[str]:
    """The packages that these requirements lead to, from the metadata of what is installed."""
    lines = [line for line in requirements.splitlines() if line and not line.startswith("#")]
    return {name for name, _ in closure(map(Requirement, lines))}


def elsewhere() -> set[str]:
    """The packages that are locked for other platforms, and are not installed."""
    locked = texts.packages(Path(LOCK).read_text("utf-8"))
    return locked - needed(Path(REQUIREMENTS).read_text("utf-8"))


def closure(requirements: Iterable[Requirement]) -> set[tuple[str, str]]:
    """Names with extras, of these requirements and all that they require here."""
    found: set[tuple[str, str]] = set()
    waiting = list(requirements)
    while waiting:
        one = waiting.pop()
        for extra in ("", *one.extras):
            key = (texts.normal(one.name), extra)
            if key in found:
                continue
            found.add(key)
            for line in importlib.metadata.requires(one.name) or []:
                more = Requirement(line)
                if more.marker is None or more.marker.evaluate({"extra": extra}):
                    waiting.append(more)
    return found
