"""Reads the filters of a list from the fields of its search form."""

import re
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import TypeAdapter, ValidationError

_DAY = re.compile(r"\d{4}-\d\d-\d\d")


def chosen[T](request: Request, adapter: TypeAdapter[T], *names: str, **fixed: Any) -> T:
    """The filter with the named fields of the query. Raises RequestValidationError.

    Browsers send empty fields, which count as absent. A day is midnight UTC.
    """
    given: dict[str, Any] = {
        name: f"{value}T00:00:00Z" if _DAY.fullmatch(value) else value
        for name in names
        if (value := request.query_params.get(name, "").strip())
    }
    try:
        return adapter.validate_python({**given, **fixed})
    except ValidationError as error:
        raise RequestValidationError(
            [
                {"type": one["type"], "loc": ("query", *one["loc"]), "msg": one["msg"]}
                for one in error.errors()
            ]
        ) from error
