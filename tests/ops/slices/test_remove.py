"""The example slice can be taken out, and what is left stands by itself."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ops.slices.remove import SliceError, remove
from tests.integration.processes import environment

MIGRATION = 'revision: str = "{0}"\ndown_revision: str | None = {1}\n'
MIGRATIONS = "tests/integration/migrations/test_migrations.py"
SECONDS = 600


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the sources."""
    for place in ("src", "tests", "ops", "3rdparty"):
        if Path(place).is_dir():
            shutil.copytree(place, tmp_path / place, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(".env.example", tmp_path)
    return tmp_path


def test_without_the_items_the_rest_is_whole(tree: Path) -> None:
    gone = {str(file.relative_to(tree)) for file in remove(tree, "items")}
    package = "src/fastapi_base"
    assert {
        f"{package}/models/item.py",
        f"{package}/schemas/item.py",
        f"{package}/services/items.py",
        f"{package}/services/items_export.py",
        f"{package}/api/v1/endpoints/items.py",
        f"{package}/tasks/items.py",
        "tests/integration/api/test_items.py",
    } <= gone
    left = "".join(file.read_text() for file in (tree / package).rglob("*.py"))
    assert "Item" not in left.replace("Items", "").replace("ItemsView", "")
    modules = environment()["PYTHONPATH"].split(":")
    here = [str(tree / Path(place).relative_to(Path.cwd())) for place in modules if _ours(place)]
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"),
            *("tests/unit", "tests/integration/api/test_query_counts.py"),
            *(
                f"{MIGRATIONS}::test_{name}"
                for name in ("models_and_migrations_agree", "there_is_one_head")
            ),
        ],
        cwd=tree,
        # Embedded servers: the images' archives lie beside this test, not in that tree.
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


def test_migrations_behind_the_slice_follow_the_one_before(tmp_path: Path) -> None:
    versions = tmp_path / "src/versions"
    versions.mkdir(parents=True)
    names = {"0001_a": "None", "0002_items": '"0001"', "0003_c": '"0002"', "0004_d": '"0003"'}
    for name, before in names.items():
        (versions / f"{name}.py").write_text(MIGRATION.format(name[:4], before))
    assert [file.name for file in remove(tmp_path, "items")] == ["0002_items.py"]
    assert (versions / "0003_c.py").read_text() == MIGRATION.format("0003", '"0001"')
    assert (versions / "0004_d.py").read_text() == MIGRATION.format("0004", '"0003"')


def test_only_lines_of_the_slice_go(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src/items.py").touch()
    file = tmp_path / "src/app.py"
    file.write_text("a = 1\nb = 2  # slice: items\nc = 3  # slice: others\n")
    remove(tmp_path, "items")
    assert file.read_text() == "a = 1\nc = 3  # slice: others\n"


@pytest.mark.parametrize("name", ["nothings", "item", "", ".*s"])
def test_what_is_no_slice_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(SliceError, match="there is no slice"):
        remove(tmp_path, name)
