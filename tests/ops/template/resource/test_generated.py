"""Generated resources pass the tests of the repository as they were written."""

from pathlib import Path

from tests.ops.template.resource import trees

#: The tests of the resources, and those that know the routes, scopes and tables.
TESTS = [
    "tests/unit/schemas/test_customers.py",
    "tests/unit/schemas/test_orders.py",
    "tests/integration/api/test_orders.py",
    "tests/unit/api/test_access.py",
    "tests/unit/api/test_openapi.py",
    "tests/unit/services/test_exported.py",
    "tests/integration/test_seed.py::test_each_model_has_a_factory",
    "tests/integration/test_seed.py::test_rows_of_factories_are_accepted",
    "tests/integration/migrations/test_migrations.py::test_models_and_migrations_agree",
    "tests/integration/migrations/test_sql.py",
]


def test_tests_of_generated_resources_pass(tmp_path: Path) -> None:
    root = trees.copy(tmp_path / "with orders")
    # The second refers to the first.
    for resource in (trees.CUSTOMER, trees.ORDER):
        trees.made(root, *resource)
    trees.run_tests(root, TESTS)
