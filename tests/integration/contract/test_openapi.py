"""The API conforms to its own description for any input: Schemathesis against a real process.

It always sends the same few hundred requests, so that a change either breaks it or does not. With
API_FUZZ_SECONDS it searches for others for that long: `make fuzz`.
"""

from pathlib import Path

import httpx2
import pytest
from openapi_spec_validator import validate

from fastapi_base.core.config import Settings
from fastapi_base.core.flags import FLAGS
from fastapi_base.main import create_app
from tests.integration.contract.fuzzing import Api, schemathesis

# Each operation separately.
ALONE = ("--phases", "examples,coverage,fuzzing")
# Run separately, or the others would see only 503: they put the service into read-only mode.
SWITCHING = ("override_flag", "reset_flag")
# Run last, or the others would see only 401: they end the caller's own access.
ENDING = (
    "logout",
    "delete_sessions",
    "delete_session",
    "change_password",
    "deactivate_me",
    "delete_me",
)


def test_description_is_valid_and_has_the_operations_selected_below(settings: Settings) -> None:
    document = create_app(settings).openapi()
    validate(document)
    items = document["paths"].values()
    ids = {operation["operationId"] for item in items for operation in item.values()}
    assert {*SWITCHING, *ENDING} <= ids


@pytest.mark.anyio
async def test_replies_conform_to_the_description(api: Api, tmp_path: Path) -> None:
    schemathesis(api, tmp_path, *ALONE, *options("exclude", SWITCHING + ENDING))
    schemathesis(api, tmp_path, *ALONE, *options("include", SWITCHING))
    async with httpx2.AsyncClient(base_url=api.url) as client:
        headers = {"Authorization": api.authorization}
        for name in FLAGS:
            await client.delete(f"/api/v1/feature-flags/{name}", headers=headers)
    schemathesis(api, tmp_path, *ALONE, *options("include", ENDING))


def options(kind: str, operations: tuple[str, ...]) -> list[str]:
    """Options that include or exclude operations."""
    return [part for name in operations for part in (f"--{kind}-operation-id", name)]
