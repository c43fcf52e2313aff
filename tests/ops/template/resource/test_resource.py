"""`make resource` in a copy of the repository: it writes all of a resource, or nothing."""

import re
import shutil
import tomllib
from pathlib import Path, PurePath

import pytest

from ops.template.formatting import ruff
from ops.template.resource import cli, tree
from ops.template.resource.names import Names
from ops.template.resource.specification import Resource, parse
from ops.template.slices import remove
from tests.ops.template.resource import trees
from tests.ops.template.resource.trees import CUSTOMER, LINE, ORDER, contents, made, make

PACKAGE = "src/fastapi_base"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trees.copy(tmp_path_factory.mktemp("trees") / "a copy")


def test_resources_can_be_removed_without_a_trace(whole: Path) -> None:
    before = contents(whole)
    steps = [contents(whole)]
    for resource in (CUSTOMER, ORDER, LINE):
        printed = made(whole, *resource)
        assert "Next:" in printed
        steps.append(contents(whole))
    names = set(steps[-1]) - set(before)
    (migration,) = (name for name in names if re.search(r"versions/\d{4}_orders\.py$", name))
    assert {name for name in names if "orders" in name} >= {
        migration,
        f"{PACKAGE}/models/orders/order.py",
        f"{PACKAGE}/schemas/orders/order.py",
        f"{PACKAGE}/services/orders/BUILD",
        f"{PACKAGE}/services/orders/orders.py",
        f"{PACKAGE}/api/v1/endpoints/orders/orders.py",
        "tests/unit/schemas/test_orders.py",
        "tests/integration/orders_rows.py",
        "tests/integration/api/test_orders.py",
    }
    program = ruff.program(whole)
    ruff.check(whole, program, ["src", "tests"])
    for name, expected in (
        ("purchase_order_lines", steps[2]),
        ("orders", steps[1]),
        ("customers", before),
    ):
        removed = make(whole, "remove-slice", f"SLICE={name}")
        assert removed.returncode == 0, removed.stderr
        after = contents(whole)
        assert set(after) == set(expected)
        assert [file for file in after if after[file] != expected[file]] == []


def test_next_migration_follows_the_latest(whole: Path, tmp_path: Path) -> None:
    files = tree.new_files(whole, "fastapi_base", _resource(whole))
    (migration,) = (text for name, text in files.items() if "migrations" in name)
    head = max((whole / PACKAGE / "migrations/versions").glob("0*.py"))
    assert f'down_revision: str | None = "{head.name[:4]}"' in migration
    assert f'revision: str = "{int(head.name[:4]) + 1:04}"' in migration


def _resource(root: Path) -> Resource:
    return parse("thing", "title:str", "", tree.existing(root, "fastapi_base"))


def test_slice_is_described_where_slices_have_manifests(tmp_path: Path) -> None:
    (tmp_path / tree.MANIFESTS).mkdir(parents=True)
    versions = tmp_path / PACKAGE / "migrations/versions"
    versions.mkdir(parents=True)
    (versions / "0007_a.py").write_text('revision: str = "0007"\ndown_revision = None\n')
    customers = {"customer": Names("customer", "customers")}
    resource = parse("order", "title:str customer:ref(customer)", "", customers)
    files = tree.new_files(tmp_path, "fastapi_base", resource)
    described = tomllib.loads(files.pop(f"{tree.MANIFESTS}/orders.toml"))
    assert described["needs"] == ["customers"]
    assert described["migrations"] == ["0008_orders"]
    left = [name for name in files if "/migrations/" not in name]
    for pattern in described["files"]:
        matching = [name for name in left if PurePath(name).full_match(pattern)]
        assert matching, pattern
        left = [name for name in left if name not in matching]
    assert left == []


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["NAME=audit_event", "FIELDS=title:str"], "exists already, in src/fastapi_base/"),
        (["NAME=user", "FIELDS=title:str"], "'user' is used by the service's own code"),
        (["NAME=account", "FIELDS=title:str"], "choose another name, such as shop_account"),
        (["NAME=order", "FIELDS=x:ref(customer)"], "no resource 'customer' was made"),
        (["NAME=order", "FIELDS=x:ref(user)"], "no resource 'user' was made by `make resource`"),
        (["NAME=order", "FIELDS=x:string"], "'string' is no type; there are: str, text, int"),
        (["NAME=order'; touch pwned'", "FIELDS=x:str"], "must be one to three words"),
        (["NAME=order", "FIELDS=$(touch pwned):str `touch pwned`:str"], "FIELDS: $(touch"),
    ],
)
def test_unusable_input_is_refused_and_changes_nothing(
    whole: Path, given: list[str], said: str
) -> None:
    before = contents(whole)
    done = make(whole, "resource", *given)
    assert said in done.stderr
    assert done.stderr.startswith("make resource: ")
    assert "Traceback" not in done.stderr
    assert contents(whole) == before


def test_usage_is_printed_without_a_name(whole: Path) -> None:
    done = make(whole, "resource")
    assert done.stderr.startswith("usage: make resource NAME=order")


def test_list_that_was_changed_is_named(whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = whole / PACKAGE / "core/security/scopes.py"
    text = file.read_text()
    file.write_text(text.replace("DESCRIPTIONS: ", "SAID: "))
    before = contents(whole)
    done = make(whole, "resource", *CUSTOMER)
    assert f"{PACKAGE}/core/security/scopes.py has been changed" in done.stderr
    assert "there is no line that begins with 'DESCRIPTIONS'" in done.stderr
    assert contents(whole) == before
    file.write_text(text)


@pytest.mark.parametrize("error", [ruff.FormatError("E501"), KeyboardInterrupt(), OSError(28, "")])
@pytest.mark.parametrize("step", ["format_tree", "check"])
def test_failure_half_way_leaves_nothing_behind(
    whole: Path, monkeypatch: pytest.MonkeyPatch, step: str, error: BaseException
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    before = contents(whole)
    monkeypatch.chdir(whole)
    monkeypatch.setattr(ruff, step, fail)
    assert cli.main(["customer", "name:str", ""]) != 0
    assert contents(whole) == before
    assert not (whole / PACKAGE / "models/customers").exists()


def test_resource_in_a_renamed_package(whole: Path, tmp_path: Path) -> None:
    other = tmp_path / "renamed"
    for place in ("src", "tests/integration", "ops/template", "3rdparty/python"):
        shutil.copytree(whole / place, other / place)
    shutil.copy(whole / "pyproject.toml", other)
    name = "customer_portal_api"
    (other / PACKAGE).rename(other / "src" / name)
    files = [file for place in ("src", "tests") for file in (other / place).rglob("*.py")]
    for file in [*files, other / "pyproject.toml"]:
        file.write_text(file.read_text().replace("fastapi_base", name))
    ruff.format_tree(other, ruff.program(whole))
    before = contents(other)
    resource = parse("customer", "name:str email:email?", "", {})
    tree.write(other, resource, tree.package_of(other))
    source = (other / "src" / name / "models/__init__.py").read_text()
    assert re.search(rf"from {name}\.models\.customers\.customer import Customer", source)
    remove.remove(other, "customers")
    ruff.format_tree(other, ruff.program(whole))
    assert contents(other) == before
