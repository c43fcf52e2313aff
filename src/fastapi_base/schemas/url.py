"""Addresses of web pages."""

from typing import Annotated

from pydantic import AfterValidator, Field, HttpUrl, TypeAdapter, ValidationError

from fastapi_base.models.base import URL_MAX

_http = TypeAdapter(HttpUrl)


def _normal(value: str) -> str:
    """The URL with its host in ASCII (IDNA), which takes more characters."""
    try:
        url = str(_http.validate_python(value))
    except ValidationError as error:
        raise ValueError(error.errors()[0]["msg"]) from None
    if len(url) > URL_MAX:
        raise ValueError(f"must have at most {URL_MAX} characters in ASCII")
    return url


# An absolute URL with http or https.
Url = Annotated[
    str,
    AfterValidator(_normal),
    Field(
        max_length=URL_MAX,
        examples=["https://example.com/teapots"],
        json_schema_extra={"format": "uri"},
    ),
]
