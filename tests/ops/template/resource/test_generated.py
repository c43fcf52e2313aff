"""Generated resources pass the checks and tests of the repository as they were written."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.processes import environment
from tests.ops.template.resource import trees

SECONDS = 600
#: The tests of the resources, and those that know the routes, scopes and tables.
TESTS = [
    "tests/unit/schemas/test_customers.py",
    "tests/unit/schemas/test_orders.py",
    "tests/integration/api/test_orders.py",
    "tests/unit/api/test_access.py",
    "tests/unit/api/test_openapi.py",
    "tests/unit/services/test_exported.py",
    "tests/integration/migrations/test_migrations.py::test_models_and_migrations_agree",
    "tests/integration/migrations/test_sql.py",
]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository with two resources, of which the second refers to the first."""
    root = trees.copy(tmp_path_factory.mktemp("trees") / "with orders")
    for resource in (trees.CUSTOMER, trees.ORDER):
        trees.made(root, *resource)
    return root


def _modules(tree: Path) -> Iterator[str]:
    """PYTHONPATH with this tree's modules replaced by those of the copy."""
    here = Path.cwd()
    for place in environment()["PYTHONPATH"].split(":"):
        path = Path(place)
        if path in (here, here / "src", here / "ops/build/plugins"):
            yield str(tree / path.relative_to(here))
        yield place


def test_tests_of_generated_resources_pass(tree: Path) -> None:
    modules = sorted(_modules(tree), key=lambda place: not place.startswith(str(tree)))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *TESTS],
        cwd=tree,
        env=environment() | {"PYTHONPATH": ":".join(modules), "TEST_SERVERS": "embedded"},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    assert " passed" in done.stdout
