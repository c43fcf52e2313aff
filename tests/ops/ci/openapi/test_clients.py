"""The generated parts of the clients are those of this tree's API."""

import keyword
from pathlib import Path

import pytest

from fastapi_base_client import operations, problems
from fastapi_base_client.errors import ApiError
from ops.ci.contract import description
from ops.ci.openapi import clients, python_client


@pytest.fixture(scope="module")
def document() -> description.Json:
    return description.complete()


def test_generated_files_are_up_to_date(document: description.Json) -> None:
    for path, text in clients.generated(document, Path()).items():
        assert Path(path).read_text() == text, f"{path} is not up to date: run `make clients`"


def test_every_operation_has_a_function(document: description.Json) -> None:
    names = {
        operation["operationId"]
        for item in document["paths"].values()
        for operation in item.values()
    }
    assert len(names) > 50
    assert all(callable(getattr(operations, name)) for name in names)
    assert not any(map(keyword.iskeyword, names))


def test_every_problem_has_a_class(document: description.Json) -> None:
    kinds = [kind for kind in vars(problems).values() if isinstance(kind, type)]
    codes = {kind.code for kind in kinds if issubclass(kind, ApiError)} - {""}
    assert codes == set(document["components"]["examples"])
    assert issubclass(problems.NotFound, ApiError)


def test_a_member_that_is_no_name_is_refused() -> None:
    schema = {"type": "object", "properties": {"not a name": {"type": "string"}}}
    document = {
        "info": {"version": "1"},
        "paths": {},
        "components": {"schemas": {"Thing": schema}, "examples": {}},
    }
    with pytest.raises(ValueError, match="'not a name' is no name in Python"):
        python_client.modules(document)
