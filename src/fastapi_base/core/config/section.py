"""The base class of all settings sections, and shared value types."""

import json
import math
import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

# Larger values overflow a date, and no server accepts numbers above 32 bits.
_MOST = {"days": 36_500, "hours": 876_000, "minutes": 52_560_000}
_MOST_OF_ALL = 2**31 - 1
# Kubernetes and Docker describe the service `api` in variables such as API_PORT=tcp://10.0.0.1:80.
SERVICE_LINK = re.compile(r"(tcp|udp|sctp)://\S+")


class Section(BaseSettings):
    """The settings of one concern. A variable is the prefix followed by the name of the field.

    White space and one pair of quotes around a value are removed: files with Windows line endings,
    `docker --env-file`, and Secrets created with `echo` leave them there. An empty value means the
    default.
    """

    model_config = SettingsConfigDict(
        frozen=True,
        extra="ignore",
        env_ignore_empty=True,
        env_file_encoding="utf-8-sig",
        hide_input_in_errors=True,
    )

    @model_validator(mode="before")
    @classmethod
    def _without_wrapping(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        cleaned = {name: unwrap(value) for name, value in values.items()}
        return {
            name: value
            for name, value in cleaned.items()
            if not (value == "" != values[name] or _is_service_link(name, value))
        }

    @field_validator("*")
    @classmethod
    def _bounded(cls, value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, int | float) and not isinstance(value, bool):
            if not math.isfinite(value):
                raise ValueError("must be a finite number")
            unit = (info.field_name or "").rpartition("_")[2]
            if value > (most := _MOST.get(unit, _MOST_OF_ALL)):
                raise ValueError(f"must be at most {most}")
        return value


def unwrap(value: Any) -> Any:
    """Strip white space and one pair of quotes from a string; other values stay unchanged."""
    if not isinstance(value, str):
        return value
    text = value.strip()
    quote, inner = text[:1], text[1:-1]
    if len(text) > 1 and quote in "\"'" and text.endswith(quote) and quote not in inner:
        return inner.strip()
    return text


def split(value: Any) -> Any:
    """Split a comma-separated string or a JSON list into its non-empty parts."""
    if not isinstance(value, str):
        return value
    text = value.strip()
    if text.startswith("[") and '"' in text:
        try:
            parts = json.loads(text)
        except ValueError:
            parts = None
        if not isinstance(parts, list) or not all(isinstance(part, str) for part in parts):
            raise ValueError('must be separated by commas, or a JSON list of strings: ["a", "b"]')
    elif text == "[]":
        parts = []
    else:
        parts = text.split(",")
    return [part for part in map(unwrap, parts) if part]


def _is_service_link(name: str, value: Any) -> bool:
    return name.endswith("port") and isinstance(value, str) and bool(SERVICE_LINK.match(value))


Words = Annotated[tuple[str, ...], NoDecode, BeforeValidator(split)]
Seconds = Annotated[float, Field(gt=0)]
