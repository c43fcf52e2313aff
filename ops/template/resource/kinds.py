"""The types of fields, and what each looks like in models, migrations, schemas and tests."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ops.template.resource.names import Names

STR_LENGTH, STR_MAX = 200, 500
TEXT_LENGTH, TEXT_MAX = 5000, 100_000
DIGITS, PLACES, DIGITS_MAX = 12, 2, 38
ENUM_LENGTH, ENUM_MAX = 40, 50
_VALUE = re.compile(r"[a-z][a-z0-9_]*")


class ResourceError(ValueError):
    """The resource cannot be made; the message names what is wrong and what would be right."""


@dataclass(frozen=True, slots=True)
class Kind:
    """The source code for a field of one type.

    `model` and `read` are annotations of the model and of responses, `schema` that of requests.
    `sa_type` is the type of the column where SQLModel does not infer it, `column` the same in a
    migration. `example`, `other` and `wrong` are expressions of values in JSON: two valid ones, and
    invalid ones. `each` is an expression that differs for each number `n`; `row` is one in SQL.
    `constants` and `types` are definitions in the model's and the schema's module.
    """

    model: str
    column: str
    schema: str
    read: str
    example: str
    other: str
    wrong: tuple[str, ...]
    row: str
    each: str | None = None
    sa_type: str | None = None
    constants: str = ""
    types: str = ""
    #: The values of a filter for most rows, for few, and for none; empty if it cannot filter.
    filtered: tuple[str, str, str] | None = None
    #: The expression of the parameter's type where the value is a filter.
    parameter: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a field is: the name of its column, its resource, and the resources that exist."""

    column: str
    names: Names
    existing: Mapping[str, Names]

    @property
    def type(self) -> str:
        """The name of the field's type in the schema: `OrderNumber`."""
        words = "".join(word.capitalize() for word in self.column.split("_"))
        return self.names.model + words

    @property
    def constant(self) -> str:
        """The beginning of the names of the field's constants."""
        return self.column.upper()


type Builder = Callable[[Place, Sequence[str]], Kind]


def _str(place: Place, given: Sequence[str]) -> Kind:
    length = _number("str", given, STR_LENGTH, STR_MAX)
    example = place.column.replace("_", " ").capitalize()[:length]
    other = "Other"[:length] if not example.startswith("O") else "Another"[:length]
    limit = f"{place.constant}_LENGTH"
    each = f'f"{example} {{n}}"' if length >= len(example) + 8 else 'f"{n}"'
    return Kind(
        *("str", f"sa.String({length})", place.type, "str"),
        *(f'"{example}"', f'"{other}"', ('""', f'"x" * {length + 1}', r'"a\0b"', "7")),
        row=f"'{example.lower()} ' || n" if length >= len(example) + 8 else "chr(1000 + n)",
        each=each if length >= 4 else "chr(0x4E00 + n)",
        sa_type=f"String({limit})",
        constants=f"{limit} = {length}",
        types=f"{place.type} = Annotated["
        f"str, StringConstraints(min_length=1, max_length={limit}), one_line({limit})]",
    )


def _text(place: Place, given: Sequence[str]) -> Kind:
    length = _number("text", given, TEXT_LENGTH, TEXT_MAX)
    limit = f"{place.constant}_LENGTH"
    return Kind(
        *("str", f"sa.String({length})", place.type, "str"),
        *('"Several\\nlines"'[:length], '"Other\\nlines"', (f'"x" * {length + 1}', r'"a\0b"', "7")),
        row="'text ' || n",
        sa_type=f"String({limit})",
        constants=f"{limit} = {length}",
        types=f"{place.type} = Annotated[Text, StringConstraints(max_length={limit})]",
    )


def _integer(bits: int) -> Builder:
    sort = "Integer" if bits == 32 else "BigInteger"
    limits = (
        "# Values of PostgreSQL's integer."
        if bits == 32
        else "# Integers that are exact in every JSON parser (RFC 8259, 6)."
    )

    def build(place: Place, given: Sequence[str]) -> Kind:
        _none(given)
        edge = "2**31" if bits == 32 else "2**53"
        return Kind(
            *("int", f"sa.{sort}()", place.type, "int"),
            *("3", "4", (edge, f"-{edge} - 1", '"x"', "1.5", "True")),
            row="n",
            each="n",
            sa_type=None if bits == 32 else sort,
            types=f"{limits}\n"
            f"{place.type} = Annotated[Integer, Field(ge=-({edge}), le={edge} - 1)]",
        )

    return build


def _decimal(place: Place, given: Sequence[str]) -> Kind:
    if len(given) not in (0, 2) or not all(one.isdecimal() for one in given):
        raise ResourceError(f"decimal takes digits and places, such as decimal({DIGITS},{PLACES})")
    digits, places = (int(one) for one in given) if given else (DIGITS, PLACES)
    if not 1 <= digits <= DIGITS_MAX or places > digits:
        raise ResourceError(
            f"decimal({digits},{places}) must have 1 to {DIGITS_MAX} digits, and at most as many"
            " places"
        )
    whole = digits - places

    def written(integer: str, fraction: str) -> str:
        part = f".{fraction.ljust(places, '0')[:places]}" if places else ""
        return f'"{integer[:whole] or "0"}{part}"'

    return Kind(
        *("Decimal", f"sa.Numeric({digits}, {places})", place.type, "Decimal"),
        *(written("19", "90"), written("75", "50")),
        ('"x"', f'"0.{"0" * places}1"', f'"1{"0" * whole}"', "True"),
        row="n % 100" if whole > 1 else "0",
        sa_type=f"Numeric({digits}, {places})",
        types=f"{place.type} = Annotated[Decimal, FixedPoint({digits}, {places})]",
    )


def _enum(place: Place, given: Sequence[str]) -> Kind:
    for value in given:
        if not _VALUE.fullmatch(value) or len(value) > ENUM_LENGTH:
            raise ResourceError(
                f"the value {value!r} must consist of lower-case letters, digits and underscores,"
                f" start with a letter, and have at most {ENUM_LENGTH} characters"
            )
    if not 2 <= len(given) <= ENUM_MAX:
        raise ResourceError(f"enum takes 2 to {ENUM_MAX} values, such as enum(open,paid)")
    if twice := [value for value in given if given.count(value) > 1]:
        raise ResourceError(f"the value {twice[0]!r} occurs twice")
    if not re.fullmatch(r"[a-z]{2,}(_[a-z]{2,})*", place.column):
        raise ResourceError("the name of an enum consists of words of two letters or more")
    values = ", ".join(f'"{value}"' for value in given)
    limit = f"{place.constant}_VALUES"
    return Kind(
        *("str", f"sa.String({ENUM_LENGTH})", place.type, place.type),
        *(f'"{given[0]}"', f'"{given[1]}"', ('"-"', '""', "7")),
        row=f"CASE WHEN n % 20000 = 7 THEN '{given[1]}' ELSE '{given[0]}' END",
        sa_type=f"String({ENUM_LENGTH})",
        constants=f"{limit} = ({values})",
        types=f"type {place.type} = Literal[{values}]",
        filtered=(f'"{given[0]}"', f'"{given[1]}"', f'"{given[-1]}"'),
        parameter=place.type,
    )


def _ref(place: Place, given: Sequence[str]) -> Kind:
    known = ", ".join(sorted(place.existing)) or "none yet: make it first"
    if len(given) != 1:
        raise ResourceError(f"ref takes the name of a resource, such as ref(customer): {known}")
    if given[0] == place.names.singular:
        raise ResourceError(f"{given[0]} cannot refer to itself by a generated field")
    if given[0] not in place.existing:
        raise ResourceError(
            f"no resource {given[0]!r} was made by `make resource`; there are: {known}"
        )
    target = place.existing[given[0]]
    rows = (f'"{0:08}-0000-0000-0000-{n:012}"' for n in (1, 2, 0))
    most, few, none = rows
    return Kind(
        *("uuid.UUID", "sa.Uuid()", "uuid.UUID", "uuid.UUID"),
        *(EXAMPLE_ID, EXAMPLE_ID, ('"x"', "7")),
        row="lpad(to_hex(CASE WHEN n % 100 = 0 THEN 100 WHEN n % 20 = 0 THEN n\n"
        "            WHEN n % 20000 = 7 THEN 2 ELSE 1 END), 32, '0')::uuid",
        each=f'(await new_{target.singular}(client))["id"]',
        filtered=(most, few, none),
        parameter="uuid.UUID",
    )


EXAMPLE_ID = '"0197a5b0-7c3f-7b61-9d43-0f4a2f6d1c55"'


def _fixed(kind: Kind) -> Builder:
    def build(place: Place, given: Sequence[str]) -> Kind:
        _none(given)
        return kind

    return build


def _none(given: Sequence[str]) -> None:
    if given:
        raise ResourceError("this type takes nothing in parentheses")


def _number(name: str, given: Sequence[str], default: int, most: int) -> int:
    if not given:
        return default
    if len(given) != 1 or not given[0].isdecimal() or not 1 <= int(given[0]) <= most:
        raise ResourceError(f"{name} takes a length from 1 to {most}, such as {name}({default})")
    return int(given[0])


KINDS: dict[str, Builder] = {
    "str": _str,
    "text": _text,
    "int": _integer(32),
    "bigint": _integer(64),
    "decimal": _decimal,
    "float": _fixed(
        Kind(
            *("float", "sa.Double()", "Number", "float", "1.5", "2.5", ('"x"', "True")),
            row="n / 2.0",
            sa_type="Double",
            types="Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]",
        )
    ),
    "bool": _fixed(
        Kind(
            *("bool", "sa.Boolean()", "StrictBool", "bool", "True", "False", ('"maybe"', "7")),
            row="n % 20000 <> 7",
            filtered=('"true"', '"false"', '"false"'),
            parameter="bool",
        )
    ),
    "date": _fixed(
        Kind(
            *("date", "sa.Date()", "Day", "date", '"2026-01-31"', '"2026-02-28"'),
            wrong=('"2026-02-30"', '"2026-01-31T00:00:00"', "7"),
            row="date '2026-01-01' + n",
            each="str(date(2026, 1, 1) + timedelta(days=n))",
        )
    ),
    "datetime": _fixed(
        Kind(
            *("datetime", "sa.DateTime(timezone=True)", "Moment", "datetime"),
            *('"2026-01-31T12:00:00Z"', '"2026-02-28T12:00:00Z"'),
            wrong=('"2026-01-31T12:00:00"', '"2026-01-31"', "7"),
            row="now() - n * interval '1 minute'",
            each='f"{2000 + n}-01-31T12:00:00Z"',
            sa_type="DateTime(timezone=True)",
        )
    ),
    "uuid": _fixed(
        Kind(
            *("uuid.UUID", "sa.Uuid()", "uuid.UUID", "uuid.UUID"),
            *(EXAMPLE_ID, '"0197a5b0-7c3f-7b61-9d43-0f4a2f6d1c56"', ('"x"', "7")),
            row="gen_random_uuid()",
            each="str(uuid7())",
        )
    ),
    "email": _fixed(
        Kind(
            *("str", "sa.String(254)", "Email", "str"),
            *('"ada@example.com"', '"eve@example.com"', ('"x"', '"a@b@c"', "7")),
            row="'n' || n || '@example.com'",
            each='f"ada{n}@example.com"',
            sa_type="String(EMAIL_MAX)",
        )
    ),
    "url": _fixed(
        Kind(
            *("str", "sa.String(2000)", "Url", "str"),
            *('"https://example.com/teapots"', '"https://example.com/cups"'),
            wrong=('"x"', '"ftp://example.com"', "7"),
            row="'https://example.com/' || n",
            each='f"https://example.com/{n}"',
            sa_type="String(base.URL_MAX)",
        )
    ),
    "json": _fixed(
        Kind(
            *("dict[str, Any]", "postgresql.JSONB()", "dict[str, Any]", "dict[str, Any]"),
            *('{"colour": "blue"}', '{"sizes": [1, 2]}', ("[]", '"x"')),
            row="""'{"colour": "blue"}'::jsonb""",
            sa_type="JSONB(none_as_null=True)",
        )
    ),
    "enum": _enum,
    "ref": _ref,
}
#: Types of which a field can be unique.
UNIQUE = frozenset({"str", "int", "bigint", "date", "datetime", "uuid", "email", "url", "ref"})
