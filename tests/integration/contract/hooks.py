"""Additional checks, loaded by Schemathesis."""

from typing import Any

import schemathesis


@schemathesis.check
def valid_requests_are_not_called_invalid(
    ctx: schemathesis.CheckContext, response: schemathesis.Response, case: schemathesis.Case[Any]
) -> None:
    """A request that fits the schema is never refused as if it did not."""
    if (
        response.status_code != 422
        or case.meta is None
        or not case.meta.generation.mode.is_positive
    ):
        return
    if "form-urlencoded" in str(response.request.headers.get("Content-Type")):
        # An empty form field counts as absent, which JSON Schema cannot express.
        return
    # Nor can it express what a validator refuses (value_error), such as a reserved domain.
    errors = response.json().get("errors", [])
    assert not [error for error in errors if error["type"] != "value_error"], errors
