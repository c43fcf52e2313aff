"""`make watch` runs the tests that a saved file affects."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.dev.affected import Imports
from tests.ops.dev.helpers import Run, run

FILES = {
    "src/shop/__init__.py": "",
    "src/shop/prices.py": "VALUE = 1\n",
    "src/shop/carts.py": "from shop import prices\n\ntotal = prices.VALUE\n",
    "src/shop/mails/__init__.py": "",
    "src/shop/mails/render.py": "",
    "src/shop/mails/welcome.txt": "Hello",
    "tests/unit/conftest.py": "",
    "tests/unit/test_prices.py": (
        "from shop.prices import VALUE\n\n\ndef test_value():\n    assert VALUE == 1\n"
    ),
    "tests/unit/test_carts.py": "import shop.carts\n",
    "tests/unit/test_mails.py": "def test_mail():\n    from shop.mails import render\n",
    "tests/integration/test_other.py": "from shop import prices\n",
    "pyproject.toml": '[tool.pytest.ini_options]\npythonpath = ["src"]\n',
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def affected(tree: Path, name: str) -> list[str]:
    return [test.name for test in Imports(tree).tests([tree / name])]


def test_tests_that_import_a_file_are_affected_the_nearest_first(tree: Path) -> None:
    found = affected(tree, "src/shop/prices.py")
    assert sorted(found[:2]) == ["test_other.py", "test_prices.py"]
    assert found[2:] == ["test_carts.py"]
    assert affected(tree, "src/shop/carts.py") == ["test_carts.py"]
    assert affected(tree, "tests/unit/test_mails.py") == ["test_mails.py"]
    everything = ["test_carts.py", "test_mails.py", "test_prices.py"]
    assert sorted(affected(tree, "tests/unit/conftest.py")) == everything
    assert sorted(affected(tree, "src/shop/__init__.py")) == sorted([*everything, "test_other.py"])
    assert "test_mails.py" in affected(tree, "src/shop/mails/welcome.txt")


def test_new_import_is_seen_and_a_syntax_error_keeps_the_old_ones(tree: Path) -> None:
    imports = Imports(tree)
    test = tree / "tests/unit/test_mails.py"
    test.write_text("import shop.carts\n")
    imports.read(test)
    assert test in imports.tests([tree / "src/shop/prices.py"])
    test.write_text("import (\n")
    imports.read(test)
    assert test in imports.tests([tree / "src/shop/prices.py"])


@pytest.fixture
def watching(tree: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    monkeypatch.chdir(tree)
    with run("-m", "ops.dev.watch", "tests/unit", PYTEST_DISABLE_PLUGIN_AUTOLOAD="1") as started:
        started.expect("waiting for a saved file")
        yield started


def test_saved_file_runs_its_tests_again(tree: Path, watching: Run) -> None:
    (tree / "src/shop/prices.py").write_text("VALUE = 2\n")
    line = watching.expect("prices.py: tests/unit/test_prices.py")
    assert "test_other" not in line
    watching.expect("1 failed")
    (tree / "src/shop/prices.py").write_text("VALUE = 1\n")
    # Its own test, then that of what imports it.
    watching.expect("1 passed")
    watching.expect("no tests ran")
    (tree / "src/shop/unused.py").write_text("")
    watching.expect("unused.py: no test depends on it")
