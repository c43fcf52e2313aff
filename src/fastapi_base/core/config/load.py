"""Loads all settings from the environment and validates them."""

from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_settings import BaseSettings

from fastapi_base.core.config import base, checks, unknown
from fastapi_base.core.config.base import variable

ENV_FILE = ".env"


class SettingsError(ValueError):
    """Invalid settings. The message names each variable and its expected value."""


class Settings(base.Settings):
    """All settings, section by section."""

    @classmethod
    def load(cls, env_file: Path | str | None = ENV_FILE) -> "Settings":
        """The same as `load_settings`."""
        return load_settings(env_file)


def load_settings(env_file: Path | str | None = ENV_FILE) -> Settings:
    """Read the environment, then `.env` in the working directory for unset variables.

    Raises SettingsError with one line for each invalid or unsafe variable.
    """
    problems = unknown.refused()
    sections: dict[str, Any] = {}
    for name, section in Settings.sections().items():
        try:
            sections[name] = section(_env_file=env_file)  # type: ignore[call-arg]
        except ValidationError as error:
            problems += [_said(section, item) for item in error.errors()]
        except (OSError, UnicodeError) as error:
            raise SettingsError(f"{env_file}: cannot be read ({error})") from error
    if problems:
        raise SettingsError("\n".join(problems))
    sections["notices"] = unknown.unknown(Settings.variables(), env_file)
    settings = Settings.model_validate(sections)
    if unsafe := checks.unsafe(settings):
        raise SettingsError("\n".join(unsafe))
    return settings


def _said(section: type[BaseSettings], item: Any) -> str:
    place = [str(part) for part in item["loc"]]
    said = item["msg"].removeprefix("Value error, ")
    # A rule for the whole section names its variables itself.
    return ": ".join([variable(section, place[0]), *place[1:], said]) if place else said
