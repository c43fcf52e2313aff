"""Which names of a service are possible, and what is said about the others."""

import importlib.metadata
import re
from pathlib import Path

import pytest

from ops.template.new import contents, names

LOCKS = Path("3rdparty/python")


@pytest.fixture(scope="module")
def taken() -> dict[str, str]:
    return names.taken(Path(), ["README.md", "ops/dev/up.py", "ops/build/plugins/layers/rules.py"])


@pytest.mark.parametrize(
    "name", ["a", "customer-portal-api", "customer_portal_api", "match", "s3", "x" * names.LONGEST]
)
def test_names_that_python_and_dns_allow_are_accepted(name: str, taken: dict[str, str]) -> None:
    names.check(name, taken)


@pytest.mark.parametrize(
    ("name", "wrong", "right"),
    [
        ("Shop", "lower-case letters", "NAME=shop"),
        ("CustomerPortal", "lower-case letters", "NAME=customer-portal"),
        ("my shop", "single dashes", "NAME=my-shop"),
        ("a--b", "single dashes", "NAME=a-b"),
        ("shop-", "single dashes", "NAME=shop"),
        ("2shop", "start with a letter", "NAME=shop"),
        ("7", "start with a letter", "NAME=customer-portal-api"),
        ("straße", "lower-case letters", "NAME=stra-e"),
        ("shop\n", "lower-case letters", "NAME=shop"),
        ("class", "keyword of Python", "NAME=class-service"),
        ("json", "standard library", "NAME=json-service"),
        ("test", "standard library", "NAME=test-service"),
        ("fastapi", "locked package fastapi", "NAME=fastapi-service"),
        ("pydantic-core", "locked package pydantic-core", "NAME=pydantic-core-service"),
        ("jwt", "module of a locked package", "NAME=jwt-service"),
        ("ops", "the folder ops here", "NAME=ops-service"),
        ("layers", "the folder ops/build/plugins/layers here", "NAME=layers-service"),
        ("x" * 63, "has 63 characters; at most 52", "-production"),
    ],
)
def test_other_names_are_refused_with_a_possible_one(
    name: str, wrong: str, right: str, taken: dict[str, str]
) -> None:
    with pytest.raises(names.NewError) as error:
        names.check(name, taken)
    assert str(error.value).startswith(f"NAME={name}: ")
    assert wrong in str(error.value)
    assert right in str(error.value)


def test_modules_of_locked_packages_are_known(taken: dict[str, str]) -> None:
    possible = re.compile(r"[a-z][a-z0-9_]*")
    installed = importlib.metadata.packages_distributions()
    locked = "".join((LOCKS / f"{name}.lock").read_text() for name in ("app", "test"))
    modules = {
        module
        for module, owners in installed.items()
        if possible.fullmatch(module)
        and any(re.search(rf"(?mi)^{re.sub('[-_.]', '[-_.]', one)}==", locked) for one in owners)
    }
    assert len(modules) > 10
    assert modules - taken.keys() == set()


def test_longest_name_fits_into_every_name_derived_from_it() -> None:
    # Labels of Kubernetes and channels of PostgreSQL have at most 63 characters.
    name = "x" * names.LONGEST
    texts = [
        contents.rename(path.read_text(encoding="utf-8"), name)
        for place in (Path("src"), Path("ops/deploy/k8s"))
        for path in place.rglob("*")
        if path.suffix in (".py", ".yaml")
    ]
    words = {word for text in texts for word in re.findall(r"[a-z0-9_-]*x{40}[a-z0-9_-]*", text)}
    assert {f"{name}-production", f"{name}_job_events"} <= words
    assert max(map(len, words)) == 63
