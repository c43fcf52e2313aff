"""The check of manifests and marks finds what would break the tree without a slice."""

from pathlib import Path

import pytest

from ops.template.slices.check import problems
from tests.ops.template.slices.test_remove import manifest

VERSIONS = "src/app/migrations/versions"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree with the slices `items`, and `others`, which needs it."""
    for file, text in {
        ".env.example": "# a\nITEMS_A=\n",
        "3rdparty/python/app.txt": "direct\n",
        "3rdparty/python/app.lock": "deep==1 \\\n    --hash=sha256:a\ndirect==1\n",
        "src/items/a.py": "import re\n\nA = re\n",
        "src/others/b.py": "from items import a\n\nB = a\n",
        "src/app/main.py": "from items import a  # slice: items\n\nA = a  # slice: items\n",
        f"{VERSIONS}/0001_a.py": '"""Items."""\nTABLE = "items"\nop.create_table(TABLE, 1)\n',
        f"{VERSIONS}/0002_b.py": '"""Items."""\nLIST = (\n    "items",  # slice: items\n)\n',
        "docs/page.md": "# Page\n\n## Items\n",
    }.items():
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(text)
    manifest(
        tmp_path,
        "items",
        *('settings = ["ITEMS_*"]', 'packages = ["direct", "deep"]', 'migrations = ["0001_a"]'),
        *("[sections]", '"docs/page.md" = ["Items"]'),
    )
    manifest(tmp_path, "others", 'needs = ["items"]')
    return tmp_path


def test_right_tree_has_no_problems(tree: Path) -> None:
    assert problems(tree) == []


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (('migrations = ["0009_c"]',), "migrations: there is no 0009_c.py"),
        (('settings = ["ITEM_A"]',), "settings: .env.example has no ITEM_A"),
        (('packages = ["other"]',), "packages: 3rdparty/python/app.lock has no other"),
        (("[sections]", '"docs/page.md" = ["X"]'), "sections: docs/page.md has no heading 'X'"),
        (("[sections]", '"docs/none.md" = ["X"]'), "sections: docs/none.md has no heading 'X'"),
        (('needs = ["items", "x"]',), "needs: no manifest describes the slice x"),
        (('needs = ["items", "others"]',), "needs itself"),
    ],
)
def test_manifest_that_names_what_is_not_there(
    tree: Path, lines: tuple[str, ...], message: str
) -> None:
    manifest(tree, "others", *(() if "needs" in message else ('needs = ["items"]',)), *lines)
    assert problems(tree) == [f"others: {message}"]


def test_glob_without_files_and_file_of_two_slices(tree: Path) -> None:
    path = tree / "ops/template/slices/manifests/others.toml"
    path.write_text(path.read_text().replace('"src/others/**"', '"src/[io]*/*.py", "src/x/*"'))
    assert problems(tree) == [
        "others: files: nothing matches src/x/*",
        "src/items/a.py: belongs to items and to others",
    ]


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("src/app/main.py", "a = 1  # slice: item\n", "no manifest describes the slice item"),
        ("src/app/BUILD", "# begin slice: items\n", "1: the block of items does not end"),
        ("src/app/BUILD", "# end slice: items\n", "1: unexpected end of the slice items"),
        (
            "src/app/main.py",
            "import re  # slice: items\n\na = re\n",
            "3: uses re, whose import is marked as part of items",
        ),
        (
            "src/app/main.py",
            "import re  # slice: others\n\na = re  # slice: items\n",
            "3: uses re, whose import is marked as part of others",
        ),
        (
            "src/app/main.py",
            "import re  # slice: others, items\n\na = re\n",
            "3: uses re, whose import is marked as part of items, others",
        ),
        (
            "src/app/main.py",
            "from items import a\n",
            "1: imports src/items/a.py of the slice items, and is not marked as its own",
        ),
        (
            "src/app/main.py",
            "import others.b  # slice: items\n",
            "1: imports src/others/b.py of the slice others, and is not marked as its own",
        ),
        (
            f"{VERSIONS}/0002_b.py",
            '"""B."""\nop.execute("ALTER TABLE items")\n',
            "2: names the table items, which only the slice items creates",
        ),
    ],
)
def test_marks_that_would_leave_a_broken_tree(
    tree: Path, file: str, text: str, message: str
) -> None:
    (tree / file).write_text(text)
    (found,) = problems(tree)
    assert found in (f"{file}:{message}", f"{file}: {message}")


def test_table_that_marked_lines_create_belongs_to_the_slice(tree: Path) -> None:
    (tree / VERSIONS / "0003_c.py").write_text(
        '"""C."""\n# begin slice: items\nop.create_table(\n    "carts",\n)\n# end slice: items\n'
        'op.create_index("carts")\n'
    )
    assert problems(tree) == [
        f"{VERSIONS}/0003_c.py:7: names the table carts, which only the slice items creates"
    ]


def test_words_of_a_slice_are_for_its_lines(tree: Path) -> None:
    manifest(tree, "others", 'needs = ["items"]', "words = ['/others\\b']")
    line = 'get("/others")'
    (tree / "src/app/main.py").write_text(
        f"{line}\n{line}  # not the slice: a route of the test\n{line}  # slice: others\n"
    )
    assert problems(tree) == [
        "src/app/main.py:1: refers to the slice others; mark the line, or end it with the comment"
        " `not the slice: ` and the reason"
    ]


def test_slice_may_use_what_it_needs(tree: Path) -> None:
    text = "import re  # slice: items\n\n# begin slice: others\na = re\n# end slice: others\n"
    (tree / "src/app/main.py").write_text(text)
    assert problems(tree) == []
    shared = (
        "import re  # slice: items, others\n\na = re  # slice: items\nb = re  # slice: others\n"
    )
    (tree / "src/app/main.py").write_text(shared)
    assert problems(tree) == []
