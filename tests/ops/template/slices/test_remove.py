"""Slices are removed with everything that is theirs, with nothing else, and completely or not."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ops.template.slices.manifest import SliceError, load
from ops.template.slices.remove import remove

MANIFESTS = Path("ops/template/slices/manifests")
MIGRATION = 'revision: str = "{0}"\ndown_revision: str | None = {1}\n'
EXAMPLE = """# the name
NAME=

# items that
# an account may have
ITEMS_MOST=3
# the size of one
ITEMS_SIZE=2

# others
OTHERS=
"""


def manifest(root: Path, name: str, *lines: str) -> None:
    """Write the manifest of a slice that owns `src/NAME/`."""
    head = ['title = "T"', 'description = "D."', "standard = true", f'files = ["src/{name}/**"]']
    (root / MANIFESTS).mkdir(parents=True, exist_ok=True)
    (root / MANIFESTS / f"{name}.toml").write_text("\n".join([*head, *lines]) + "\n")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree with the slices `items` and `others`."""
    for name in ("items", "others"):
        (tmp_path / "src" / name).mkdir(parents=True)
        for file in ("__init__.py", "BUILD", "export.py"):
            (tmp_path / "src" / name / file).touch()
        manifest(tmp_path, name)
    (tmp_path / "src/app.py").write_text("a = 1\nb = 2  # slice: items\nc = 3  # slice: others\n")
    (tmp_path / "docs").mkdir()
    return tmp_path


def test_files_and_marked_lines_are_removed(tree: Path) -> None:
    assert len(remove(tree, "items")) == 4
    assert not (tree / "src/items").exists()
    assert (tree / "src/app.py").read_text() == "a = 1\nc = 3  # slice: others\n"
    assert list(load(tree)) == ["others"]
    remove(tree, "others")
    assert (tree / "src/app.py").read_text() == "a = 1\n"
    assert load(tree) == {}


def test_caches_of_tools_are_ignored(tree: Path) -> None:
    for folder in (".hypothesis", "__pycache__"):
        (tree / "src" / folder).mkdir()
        (tree / "src" / folder / "data").write_bytes(b"\xff\n# slice: items\n")
    (tree / "src/items/__pycache__").mkdir()
    remove(tree, "items")
    assert (tree / "src/.hypothesis/data").read_bytes().endswith(b"items\n")
    assert not (tree / "src/items").exists()


@pytest.mark.parametrize(
    ("text", "without_items", "without_both"),
    [
        ("a\n  # begin slice: items\n  b\n  # end slice: items\nc\n", "a\nc\n", "a\nc\n"),
        ("a  # slice: items, others\n", "a  # slice: others\n", ""),
        (
            "# begin slice: items, others\na\n# end slice: items, others\n",
            "# begin slice: others\na\n# end slice: others\n",
            "",
        ),
        (
            "# begin slice: others\na\nb  # slice: items\n# end slice: others\n",
            "# begin slice: others\na\n# end slice: others\n",
            "",
        ),
        (
            "# begin slice: items\na  # slice: others\n# begin slice: others\n# end slice: others\n"
            "# end slice: items\nb\n",
            "b\n",
            "b\n",
        ),
    ],
)
def test_blocks_and_shared_lines(
    tree: Path, text: str, without_items: str, without_both: str
) -> None:
    file = tree / "src/BUILD"
    file.write_text(text)
    remove(tree, "items")
    assert file.read_text() == without_items
    remove(tree, "others")
    assert file.read_text() == without_both


def test_pages_lose_their_marked_sections_rows_and_commands(tree: Path) -> None:
    manifest(tree, "items", "[sections]", '"docs/page.md" = ["Import of items"]')
    page = tree / "docs/page.md"
    page.write_text(
        "| a | b |\n| items | c <!-- slice: items --> |\n| d | e <!-- slice: others --> |\n"
        "<!-- begin slice: items -->\n## Items\n\nText.\n<!-- end slice: items -->\n## Rest\n"
        "make remove-slice SLICE=items   # removes it\n"
        "### Import of items\n\n```\n# Rest\n```\n#### More\n## End\n"
    )
    remove(tree, "items")
    assert page.read_text() == "| a | b |\n| d | e <!-- slice: others --> |\n## Rest\n## End\n"


def test_settings_go_with_their_comments(tree: Path) -> None:
    manifest(tree, "items", 'settings = ["ITEMS_*"]')
    (tree / ".env.example").write_text(EXAMPLE)
    remove(tree, "items")
    assert (tree / ".env.example").read_text() == "# the name\nNAME=\n\n# others\nOTHERS=\n"


def test_packages_go_with_the_last_slice_that_needs_them(tree: Path) -> None:
    manifest(tree, "items", 'packages = ["Direct_One", "both"]')
    manifest(tree, "others", 'packages = ["both", "deep"]')
    folder = tree / "3rdparty/python"
    folder.mkdir(parents=True)
    (folder / "app.txt").write_text("# The service\nboth[x]<2\ndirect-one\nkept\n")
    lock = "".join(
        f"{name}==1 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\n"
        for name in ("both", "deep", "direct-one", "kept")
    )
    (folder / "app.lock").write_text(lock)
    remove(tree, "items")
    assert (folder / "app.txt").read_text() == "# The service\nboth[x]<2\nkept\n"
    assert "direct-one" not in (folder / "app.lock").read_text()
    assert (folder / "app.lock").read_text().count("==") == 3
    remove(tree, "others")
    assert (folder / "app.txt").read_text() == "# The service\nkept\n"
    assert (folder / "app.lock").read_text() == lock[lock.index("kept") :]


@pytest.mark.parametrize(
    "text",
    [
        "# begin slice: items\n",
        "# end slice: items\n",
        "# begin slice: items\n# begin slice: others\n# end slice: items\n# end slice: others\n",
    ],
)
def test_unbalanced_marks_are_reported_and_change_nothing(tree: Path, text: str) -> None:
    (tree / "src/BUILD").write_text(text)
    with pytest.raises(SliceError, match=r"^src/BUILD:\d+: "):
        remove(tree, "items")
    assert (tree / "src/items/export.py").exists()
    assert "b = 2" in (tree / "src/app.py").read_text()


@pytest.mark.parametrize("order", ["items", "items,others", "others,items"])
def test_later_migrations_follow_the_predecessor_of_the_slice(tree: Path, order: str) -> None:
    versions = tree / "src/app/migrations/versions"
    versions.mkdir(parents=True)
    names = {"0001_a": "None", "0002_b": '"0001"', "0003_c": '"0002"', "0004_d": '"0003"'}
    for name, before in names.items():
        (versions / f"{name}.py").write_text(MIGRATION.format(name[:4], before))
    manifest(tree, "items", 'migrations = ["0002_b"]')
    manifest(tree, "others", 'migrations = ["0003_c"]')
    remove(tree, order)
    left = sorted(file.stem for file in versions.iterdir())
    first, after = ("0003_c", "0004_d") if order == "items" else ("0004_d", "0004_d")
    assert left == sorted({"0001_a", first, after})
    assert (versions / f"{first}.py").read_text() == MIGRATION.format(first[:4], '"0001"')


def test_failure_undoes_everything(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tree / "src/items/run").write_text("#!/bin/sh\n")
    (tree / "src/items/run").chmod(0o755)
    before = {path: path.read_bytes() for path in tree.rglob("*") if path.is_file()}
    unlink, calls = Path.unlink, []

    def interrupted(file: Path) -> None:
        calls.append(file)
        if len(calls) == 3:
            raise KeyboardInterrupt
        unlink(file)

    monkeypatch.setattr(Path, "unlink", interrupted)
    with pytest.raises(KeyboardInterrupt):
        remove(tree, "items")
    assert {path: path.read_bytes() for path in tree.rglob("*") if path.is_file()} == before
    assert os.access(tree / "src/items/run", os.X_OK)


def test_slice_that_another_one_needs_is_kept(tree: Path) -> None:
    manifest(tree, "others", 'needs = ["items"]')
    with pytest.raises(
        SliceError, match=r"^others needs items; to remove all: SLICE=items,others$"
    ):
        remove(tree, "items")
    assert (tree / "src/items").exists()
    remove(tree, "items,others")
    assert not (tree / "src/others").exists()


def test_removed_slices_are_recorded_in_a_product(tree: Path) -> None:
    record = tree / "ops/template/product.toml"
    record.write_text('name = "shop"\nwithout = ["a"]\n')
    manifest(tree, "orders", "generated = true")
    remove(tree, "others,items,orders")
    assert record.read_text().endswith(
        'name = "shop"\nwithout = [\n  "a",\n  "items",\n  "others",\n]\n'
    )


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


def test_tree_without_slices_says_so(tmp_path: Path) -> None:
    with pytest.raises(SliceError, match="this tree has none any more"):
        remove(tmp_path, "items")
