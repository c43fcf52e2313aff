"""The example slice can be removed from this repository, and the rest works on its own."""

import ast
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.template.formatting import ruff
from ops.template.slices.remove import remove
from tests.integration.processes import environment

MIGRATIONS = "tests/integration/migrations/test_migrations.py"
PACKAGE = "src/fastapi_base"
SECONDS = 600
#: Those that know the routes, scopes, tables, settings and pages.
TESTS = [
    "tests/unit/api/test_access.py",
    "tests/unit/api/test_dispatch.py",
    "tests/unit/api/test_plans.py",
    "tests/unit/api/test_openapi.py",
    "tests/unit/core/test_env_example.py",
    "tests/unit/models",
    "tests/unit/services",
    "tests/integration/api/test_query_counts.py",
    *(
        f"{MIGRATIONS}::test_{name}"
        for name in ("models_and_migrations_agree", "there_is_one_head")
    ),
    "tests/ops/ci/docs/test_links.py",
    "tests/ops/ci/docs/test_translations.py",
]
# Also what Pants adds to the tree in which it runs a test.
_NOT_COPIED = (".git", ".local", ".pants.d", ".pids", "dist", "__pycache__", ".*_cache", "*.pex*")
_LEFT = re.compile(
    r"slice: items|SLICE=items|items_export|items_reads|test_items|items-import|purge-items"
)
_SOURCE = re.compile(r"!?(?:\./|//)?[\w.-][\w./-]*\.(?:py|sh|toml)")


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository without the slice."""
    root = tmp_path_factory.mktemp("trees") / "without items"
    shutil.copytree(".", root, symlinks=True, ignore=shutil.ignore_patterns(*_NOT_COPIED))
    gone = {str(file.relative_to(root)) for file in remove(root, "items")}
    assert {
        f"{PACKAGE}/models/items/item.py",
        f"{PACKAGE}/schemas/items/item.py",
        f"{PACKAGE}/services/items/items.py",
        f"{PACKAGE}/services/items/__init__.py",
        f"{PACKAGE}/api/v1/endpoints/items/items.py",
        f"{PACKAGE}/tasks/items.py",
        "tests/integration/api/test_items.py",
        "tests/ops/template/slices/test_items_removal.py",
    } <= gone
    ruff.format_tree(root, ruff.program(root))
    return root


def test_nothing_names_the_items(tree: Path) -> None:
    lines = [
        f"{file.relative_to(tree)}: {line}"
        for file in (tree / PACKAGE).rglob("*.py")
        for line in file.read_text().splitlines()
    ]
    assert [line for line in lines if "Item" in line.replace("Items", "")] == []
    files = [
        tree / "Makefile",
        tree / "README.md",
        *(path for place in ("src", "ops", "docs") for path in (tree / place).rglob("*")),
    ]
    found = [
        str(file.relative_to(tree))
        for file in files
        if file.suffix in ("", ".py", ".md", ".toml")
        and file.is_file()
        # Decisions, and the command itself, which has examples.
        and file.parent.name not in ("decisions", "slices")
        and _LEFT.search(file.read_text(encoding="utf-8"))
    ]
    assert found == []


def test_build_names_only_existing_files(tree: Path) -> None:
    builds = list(tree.rglob("BUILD"))
    assert len(builds) > 50
    assert [name for build in builds for name in missing(build, tree)] == []


def missing(build: Path, root: Path) -> Iterator[str]:
    """The sources that a BUILD file names and that do not exist. Paths in images are absolute."""
    for node in ast.walk(ast.parse(build.read_text(encoding="utf-8"))):
        name = node.value if isinstance(node, ast.Constant) else None
        if isinstance(name, str) and _SOURCE.fullmatch(name):
            path = name.lstrip("!").removeprefix("./").removeprefix("//")
            if not (build.parent / path).exists() and not (root / path).exists():
                yield f"{build.relative_to(root)}: {name}"


def test_code_passes_lint(tree: Path) -> None:
    done = subprocess.run(
        [ruff.program(Path()), "check", "--no-cache", "."],
        cwd=tree,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_remaining_tests_pass(tree: Path) -> None:
    modules = environment()["PYTHONPATH"].split(":")
    here = [str(tree / Path(place).relative_to(Path.cwd())) for place in modules if _ours(place)]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *TESTS],
        cwd=tree,
        # Embedded servers: the images' archives are next to this test, not in that tree.
        env=environment()
        | {
            "PYTHONPATH": ":".join([*here, *modules[len(here) :], *modules]),
            "TEST_SERVERS": "embedded",
        },
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    assert " passed" in done.stdout


def _ours(place: str) -> bool:
    path = Path(place)
    return path == Path.cwd() or path == Path.cwd() / "src"
