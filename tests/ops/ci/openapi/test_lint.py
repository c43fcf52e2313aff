"""The linters find nothing in the description, and something in a broken one."""

import copy
from pathlib import Path

import pytest

from ops.ci.contract import description
from ops.ci.openapi import lint


@pytest.fixture(scope="module")
def document() -> description.Json:
    return description.complete()


@pytest.mark.parametrize("linter", lint.LINTERS)
def test_a_linter_finds_nothing(document: description.Json, linter: str) -> None:
    assert lint.findings(linter, document, Path().absolute()) == ""


@pytest.mark.parametrize("linter", lint.LINTERS)
def test_a_linter_warns_of_a_broken_description(document: description.Json, linter: str) -> None:
    # A few operations, because Spectral takes its time.
    paths = {path: document["paths"][path] for path in ("/api/v1/users/me", "/api/v1/jobs")}
    broken = copy.deepcopy({**document, "paths": paths})
    broken["paths"]["/api/v1/users/me"]["get"]["operationId"] = "list_jobs"
    said = lint.findings(linter, broken, Path().absolute())
    assert "operationId" in said
    assert "unique" in said
