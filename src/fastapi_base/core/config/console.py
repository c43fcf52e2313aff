"""Settings of the console, the pages for operators."""

import re
from typing import Annotated

from pydantic import AfterValidator
from pydantic_settings import SettingsConfigDict

from fastapi_base.core.config.section import Section

# The first segments of the application's other paths.
_TAKEN = frozenset({"api", "docs", "health", "openapi.json", ".well-known"})
_PATH = re.compile(r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]{0,63}){1,4}")


def _free(path: str) -> str:
    if not path:
        return path
    if not _PATH.fullmatch(path):
        raise ValueError(
            "must be a path such as /console: it starts with a slash, does not end with one, and"
            " it has at most four parts, which have at most 64 letters, digits, and . _ ~ -, and do"
            " not start with a dot"
        )
    first = path.split("/")[1]
    if first in _TAKEN:
        raise ValueError(f"must not be below /{first}, which the API serves; /console is free")
    return path


class ConsoleSettings(Section):
    """The console. It is off unless `path` is set.

    With `second_factor`, only logins with a second factor or a passkey open it.
    """

    model_config = SettingsConfigDict(env_prefix="CONSOLE_")

    path: Annotated[str, AfterValidator(_free)] = ""
    second_factor: bool = False
