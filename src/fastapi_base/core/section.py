"""What the sections of the settings share: their base, and the forms of their values."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict


class Section(BaseSettings):
    """One concern. The variable of a field is the prefix and the field's name."""

    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", env_ignore_empty=True, hide_input_in_errors=True
    )


def split(value: Any) -> Any:
    """The parts of a text with commas."""
    return [part.strip() for part in value.split(",")] if isinstance(value, str) else value


Words = Annotated[tuple[str, ...], NoDecode, BeforeValidator(split)]
Seconds = Annotated[float, Field(gt=0)]
