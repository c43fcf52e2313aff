"""Each kind of change gets the level that it has for callers."""

import copy
import datetime

import pytest

from ops.ci.contract import changes, description
from tests.ops.ci.contract.rules import (
    OPERATIONS,
    REQUEST,
    RESPONSE,
    SCHEMAS,
    TEXT,
    Case,
    choice,
    descriptions,
    thing,
)

CASES = [*OPERATIONS, *SCHEMAS]
TODAY = datetime.date(2026, 6, 1)


@pytest.fixture(scope="module")
def found() -> list[changes.Change]:
    """The changes of all cases, by one run of Redocly."""
    return changes.between(*descriptions(CASES), TODAY)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_change_has_its_level(found: list[changes.Change], case: Case) -> None:
    mine = [
        change
        for change in found
        if any(name.endswith(f" {case.path}") for name in change.operations)
    ]
    assert mine, "no change was found"
    assert min(map(changes.LEVELS.index, (one.level for one in mine))) == changes.LEVELS.index(
        case.level
    ), mine
    assert any(case.said in change.line for change in mine if change.level == case.level), mine


def test_cases_are_distinct() -> None:
    assert len({case.name for case in CASES}) == len({case.schema for case in CASES}) == len(CASES)


def test_a_line_names_operation_place_and_reason(found: list[changes.Change]) -> None:
    lines = [change.line for change in found]
    assert (
        "breaking    POST /got-removed: property-removed at GotRemoved.a:"
        " Property `a` of `GotRemoved` was removed."
    ) in lines
    assert [one.level for one in found] == sorted(
        (one.level for one in found), key=changes.LEVELS.index
    )


def test_a_shared_schema_is_one_change_of_all_its_operations() -> None:
    old, new = descriptions(
        [
            Case("one", "breaking", "", thing(a=TEXT), thing(), "response"),
            Case("two", "breaking", "", thing(), thing(), "response"),
        ]
    )
    for document in (old, new):
        document["components"]["schemas"]["Two"] = {"$ref": "#/components/schemas/One"}
    assert [change.operations for change in changes.between(old, new, TODAY)] == [
        ("POST /one", "POST /two")
    ]


def test_texts_and_examples_change_nothing() -> None:
    document = description.present()
    noted = copy.deepcopy(document)
    noted["paths"]["/health/live"]["get"] |= {"summary": "Alive?", "description": "Say so."}
    noted["info"] |= {"title": "renamed", "description": "another"}
    assert changes.between(document, description.reduced(noted), TODAY) == []


def test_a_member_may_have_the_name_of_a_text() -> None:
    old, _ = descriptions(
        [Case("one", "", "", thing(title=TEXT, description=TEXT | {"title": "x"}), {}, "request")]
    )
    kept = description.reduced(old)["components"]["schemas"]["One"]["properties"]
    assert kept == {"title": TEXT, "description": TEXT}


def test_another_name_of_a_path_parameter_is_no_other_path() -> None:
    old, new = descriptions([])
    for document, name in ((old, "id"), (new, "thing_id")):
        parameter = {"name": name, "in": "path", "required": True, "schema": TEXT}
        operation = {"parameters": [parameter], "responses": {"200": {}}}
        document["paths"][f"/things/{{{name}}}"] = {"get": operation}
    assert [(one.level, one.rule) for one in changes.between(old, new, TODAY)] == [
        ("changed", "path-parameter-renamed")
    ]


def test_methods_of_one_path_may_name_its_parameter_differently() -> None:
    old, new = descriptions([])
    for document, method, name in (
        (old, "get", "id"),
        (new, "get", "id"),
        (new, "post", "thing_id"),
    ):
        parameter = {"name": name, "in": "path", "required": True, "schema": TEXT}
        operation = {"parameters": [parameter], "responses": {"200": {}}}
        document["paths"].setdefault(f"/things/{{{name}}}", {})[method] = operation
    found = [(one.level, one.rule) for one in changes.between(old, new, TODAY)]
    assert ("added", "operation-added") in found
    assert not [one for one in found if one[0] == "breaking"]


@pytest.mark.parametrize(("before", "after"), [(("a",), ("a", "b")), (("a", "b"), ("a",))])
@pytest.mark.parametrize("first", [REQUEST, RESPONSE])
def test_a_schema_that_is_sent_and_received_can_change_in_neither_way(
    first: str, before: tuple[str, ...], after: tuple[str, ...]
) -> None:
    second = RESPONSE if first == REQUEST else REQUEST
    old, new = descriptions(
        [
            Case("one", "", "", choice(*before), choice(*after), first),
            Case("two", "", "", {}, {}, second),
        ]
    )
    for document in (old, new):
        document["components"]["schemas"]["Two"] = {"$ref": "#/components/schemas/One"}
    found = changes.between(old, new, TODAY)
    assert [(one.level, one.place) for one in found] == [("breaking", "One")]
