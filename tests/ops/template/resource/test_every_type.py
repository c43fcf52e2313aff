"""A resource with fields of every type passes its tests, and its list reads only its pages."""

from pathlib import Path

from tests.ops.template.resource import trees

TESTS = [
    "tests/unit/schemas/test_purchase_order_lines.py",
    "tests/integration/api/test_customers.py",
    "tests/integration/api/test_purchase_order_lines.py",
    "tests/unit/api/test_openapi.py",
    "tests/integration/db/test_list_plans.py",
    "tests/integration/test_seed.py::test_each_model_has_a_factory",
    "tests/integration/test_seed.py::test_rows_of_factories_are_accepted",
    "tests/integration/migrations/test_migrations.py",
]


def test_resource_with_every_type_passes_its_tests(tmp_path: Path) -> None:
    root = trees.copy(tmp_path / "with lines")
    for resource in (trees.CUSTOMER, trees.ORDER, trees.LINE):
        trees.made(root, *resource)
    trees.run_tests(root, TESTS)
