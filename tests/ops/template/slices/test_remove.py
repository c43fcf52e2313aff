"""A slice is removed with everything that is marked as its own, and with nothing else."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ops.template.slices.remove import SliceError, remove, slices

MIGRATION = 'revision: str = "{0}"\ndown_revision: str | None = {1}\n'


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree with the slices `items` and `others`."""
    (tmp_path / "src/items").mkdir(parents=True)
    for name in ("__init__.py", "BUILD", "export.py"):
        (tmp_path / "src/items" / name).touch()
    (tmp_path / "src/app.py").write_text("a = 1\nb = 2  # slice: items\nc = 3  # slice: others\n")
    (tmp_path / "docs").mkdir()
    return tmp_path


def test_slices_are_those_that_are_marked(tree: Path) -> None:
    assert slices(tree) == ["items", "others"]
    remove(tree, "items")
    assert slices(tree) == ["others"]


def test_package_and_marked_lines_are_removed(tree: Path) -> None:
    assert len(remove(tree, "items")) == 3
    assert not (tree / "src/items").exists()
    assert (tree / "src/app.py").read_text() == "a = 1\nc = 3  # slice: others\n"


def test_caches_of_tools_are_ignored(tree: Path) -> None:
    for folder in (".hypothesis", "__pycache__"):
        (tree / "src" / folder).mkdir()
        (tree / "src" / folder / "data").write_bytes(b"\xff\n# slice: items\n")
    remove(tree, "items")
    assert (tree / "src/.hypothesis/data").read_bytes().endswith(b"items\n")


def test_marked_blocks_are_removed(tree: Path) -> None:
    file = tree / "src/BUILD"
    file.write_text("a\n  # begin slice: items\n  b\n  # end slice: items\nc\n")
    remove(tree, "items")
    assert file.read_text() == "a\nc\n"


def test_pages_lose_their_marked_sections_rows_and_commands(tree: Path) -> None:
    page = tree / "docs/page.md"
    page.write_text(
        "| a | b |\n| items | c <!-- slice: items --> |\n| d | e <!-- slice: others --> |\n"
        "<!-- begin slice: items -->\n## Items\n\nText.\n<!-- end slice: items -->\n## Rest\n"
        "make remove-slice SLICE=items   # removes it\n"
    )
    remove(tree, "items")
    assert page.read_text() == "| a | b |\n| d | e <!-- slice: others --> |\n## Rest\n"


@pytest.mark.parametrize(
    "text",
    [
        "# begin slice: items\n",
        "# end slice: items\n",
        "# begin slice: items\n# begin slice: items\n# end slice: items\n",
    ],
)
def test_unbalanced_marks_are_reported_and_change_nothing(tree: Path, text: str) -> None:
    (tree / "src/BUILD").write_text(text)
    with pytest.raises(SliceError, match="src/BUILD"):
        remove(tree, "items")
    assert (tree / "src/items/export.py").exists()
    assert "b = 2" in (tree / "src/app.py").read_text()


def test_later_migrations_follow_the_predecessor_of_the_slice(tree: Path) -> None:
    versions = tree / "src/versions"
    versions.mkdir()
    names = {"0001_a": "None", "0002_items": '"0001"', "0003_c": '"0002"', "0004_d": '"0003"'}
    for name, before in names.items():
        (versions / f"{name}.py").write_text(MIGRATION.format(name[:4], before))
    assert versions / "0002_items.py" in remove(tree, "items")
    assert (versions / "0003_c.py").read_text() == MIGRATION.format("0003", '"0001"')
    assert (versions / "0004_d.py").read_text() == MIGRATION.format("0004", '"0003"')


@pytest.mark.parametrize("name", ["nothings", "item", "", ".*s", "../items"])
def test_unknown_slice_is_reported_with_the_existing_ones(tree: Path, name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ops.template.slices.remove", name],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(Path.cwd())},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == (
        f"make remove-slice: the slice {name!r} does not exist; there are: items, others\n"
    )


def test_tree_without_slices_says_so(tree: Path) -> None:
    shutil.rmtree(tree / "src")
    with pytest.raises(SliceError, match="this tree has none any more"):
        remove(tree, "items")
