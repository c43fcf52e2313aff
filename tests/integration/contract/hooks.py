"""Checks of our own, loaded by Schemathesis."""

from typing import Any

import schemathesis


@schemathesis.check
def valid_requests_are_not_called_invalid(
    ctx: schemathesis.CheckContext, response: schemathesis.Response, case: schemathesis.Case[Any]
) -> None:
    """What fits the schema is never refused as if it did not."""
    if (
        response.status_code != 422
        or case.meta is None
        or not case.meta.generation.mode.is_positive
    ):
        return
    if "form-urlencoded" in str(response.request.headers.get("Content-Type")):
        # An empty field of a form is no field, and JSON Schema cannot say so.
        return
    # Likewise what a validator refuses (value_error), as an address of a reserved domain.
    errors = response.json().get("errors", [])
    assert not [error for error in errors if error["type"] != "value_error"], errors
