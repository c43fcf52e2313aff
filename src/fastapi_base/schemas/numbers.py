"""Numbers that clients send: integers, and decimals that are exact up to the database."""

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BeforeValidator, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue


def _numeric(value: Any) -> Any:
    # Pydantic also accepts true and text.
    if isinstance(value, bool | str):
        raise ValueError("must be a number")
    return value


# Also 1.0, which is an integer in JSON Schema.
Integer = Annotated[int, BeforeValidator(_numeric)]


@dataclass(frozen=True, slots=True)
class FixedPoint:
    """`Annotated[Decimal, FixedPoint(12, 2)]`: at most 12 digits, 2 of them after the point.

    Clients send text, or numbers, of which many programs know only the first 15 digits. Responses
    contain text.
    """

    digits: int
    places: int

    @property
    def pattern(self) -> str:
        """A regular expression of the numbers as text."""
        whole = max(1, self.digits - self.places)
        fraction = rf"(\.[0-9]{{1,{self.places}}})?" if self.places else ""
        return rf"^-?[0-9]{{1,{whole}}}{fraction}$"

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> Any:
        """Called by Pydantic."""
        return BeforeValidator(self._read).__get_pydantic_core_schema__(source, handler)

    def __get_pydantic_json_schema__(
        self, schema: Any, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Called by Pydantic."""
        return {"anyOf": [{"type": "string", "pattern": self.pattern}, {"type": "number"}]}

    def _read(self, value: Any) -> Decimal:
        if isinstance(value, str | int | float | Decimal) and not isinstance(value, bool):
            text = value if isinstance(value, str) else f"{Decimal(str(value)):f}"
            if re.fullmatch(self.pattern[1:-1], text):
                number = Decimal(text)
                # A point without digits before it: numeric(2,2) has no place for the 1 of 1.00.
                if self.digits > self.places or abs(number) < 1:
                    return number
        raise ValueError(
            f"must be a number with at most {self.digits - self.places} digits before and"
            f" {self.places} after the point"
        )
