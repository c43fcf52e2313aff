"""The unit tests of the schema of a resource."""

from string import Template

from ops.template.resource.files.naming import lines, names
from ops.template.resource.specification import Resource

_SCHEMA = Template('''"""Requests about $all."""

from typing import Any

import pytest
from pydantic import ValidationError

from $package.schemas.$many.$one import ${Model}Create, ${Model}Update

BODY = {$body}


def test_valid_${one}_is_kept_as_sent() -> None:
    assert ${Model}Create.model_validate(BODY).model_dump(mode="json") == BODY


@pytest.mark.parametrize("name", [$required])
def test_required_members_are_neither_absent_nor_null(name: str) -> None:
    with pytest.raises(ValidationError, match=name):
        ${Model}Create.model_validate({key: BODY[key] for key in BODY if key != name})
    for schema in (${Model}Create, ${Model}Update):
        with pytest.raises(ValidationError, match=name):
            schema.model_validate({**BODY, name: None})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        $wrong
        ("owner_id", "0197a5b0-7c3f-7b61-9d43-0f4a2f6d1c55"),
    ],
)
def test_invalid_members_are_refused(name: str, value: Any) -> None:
    for schema in (${Model}Create, ${Model}Update):
        with pytest.raises(ValidationError, match=name):
            schema.model_validate({**BODY, name: value})


def test_change_holds_what_was_sent() -> None:
    change = ${Model}Update.model_validate({"$first": $example})
    assert list(change.changes()) == ["$first"]
    with pytest.raises(ValidationError, match="at least one member"):
        ${Model}Update.model_validate({})
''')


def render(resource: Resource, package: str) -> str:
    """The unit tests of the schema."""
    first = resource.first
    return _SCHEMA.substitute(
        names(resource, package),
        body=", ".join(f'"{field.name}": {field.kind.example}' for field in resource.fields),
        required=", ".join(f'"{field.name}"' for field in resource.fields if not field.optional),
        wrong=lines(
            [
                f'("{field.name}", {wrong}),'
                for field in resource.fields
                for wrong in field.kind.wrong
            ],
            8,
        ),
        first=first.name,
        example=first.kind.example,
    )
