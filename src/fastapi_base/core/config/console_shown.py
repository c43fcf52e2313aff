"""All settings as operators may see them: without secrets, and with where each came from."""

import os
import re
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, SecretStr

from fastapi_base.core.config.base import Settings, variable

HIDDEN = "[hidden]"

type Source = Literal["environment", "file", "default"]


@dataclass(frozen=True, slots=True)
class Shown:
    """A setting. `source` is `file` for a value of `.env`."""

    variable: str
    value: str
    source: Source


def shown(settings: Settings) -> list[Shown]:
    """All settings by section, in the order of their declaration."""
    found = []
    for section, model in Settings.sections().items():
        values = getattr(settings, section)
        for field in model.model_fields:
            name = variable(model, field)
            source: Source = "default"
            if field in values.model_fields_set:
                source = "environment" if _is_set(name) else "file"
            found.append(Shown(name, _text(getattr(values, field)), source))
    return found


def _is_set(name: str) -> bool:
    # As pydantic-settings reads variables.
    return any(key.upper() == name and value for key, value in os.environ.items())


def _text(value: Any) -> str:
    match value:
        case SecretStr():
            return HIDDEN if value.get_secret_value() else ""
        case None:
            return ""
        case bool():
            return str(value).lower()
        case tuple() | list():
            return ", ".join(map(_text, value))
        case dict():
            return "; ".join(f"{name}: {_text(one)}" for name, one in value.items())
        case BaseModel():
            return ", ".join(f"{name}={_text(one)}" for name, one in value)
    return _without_credentials(str(value))


def _without_credentials(text: str) -> str:
    """The text with user names, passwords and queries of URLs hidden."""
    if "://" not in text:
        return text
    text = re.sub(r"(?<=://)[^/?#\s]*@", f"{HIDDEN}@", text)
    return re.sub(r"\?\S+", f"?{HIDDEN}", text)
