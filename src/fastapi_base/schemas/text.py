"""Short texts that people write."""

import unicodedata
from typing import Annotated

from pydantic import AfterValidator, StringConstraints

LINE_LENGTH = 100


def _one_line(value: str) -> str:
    normal = unicodedata.normalize("NFC", value)
    if not normal.isprintable():
        raise ValueError("must have no line breaks and no control characters")
    return normal


# One line to be shown to others: nothing that moves text about or forges lines in logs.
Line = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=LINE_LENGTH),
    AfterValidator(_one_line),
]
