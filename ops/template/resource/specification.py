"""Reads NAME, FIELDS and PLURAL of `make resource`.

    number:str! total:decimal(10,2) status:enum(open,paid) customer:ref(customer) due:date?

A field is a name, a colon and a type, with `!` for unique among the rows of an owner and `?` for
optional.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ops.template.resource import reserved
from ops.template.resource.kinds import KINDS, UNIQUE, Kind, Place, ResourceError
from ops.template.resource.names import LONGEST, NAME, Names, plural_of

MOST_FIELDS = 30
MOST_CHARACTERS = 4000
#: PostgreSQL cuts longer names off.
IDENTIFIER_BYTES = 63
#: Each filter doubles the indexes of the list.
MOST_FILTERS = 2
_PIECE = re.compile(r"(?:[^\s()]|\([^()]*\))+|\S")
_FIELD = re.compile(r"([^:()!?]*):([^:()!?]*)(\([^()]*\))?([!?]*)")
_FIELD_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")


@dataclass(frozen=True, slots=True)
class Field:
    """A field. `target` is the resource that it refers to; then `name` is that of its column."""

    name: str
    kind: Kind
    unique: bool
    optional: bool
    target: Names | None = None

    @property
    def words(self) -> str:
        """The field in sentences, as clients know it."""
        return (self.name.removesuffix("_id") if self.target else self.name).replace("_", " ")


@dataclass(frozen=True, slots=True)
class Resource:
    """What to make."""

    names: Names
    fields: tuple[Field, ...]

    @property
    def filters(self) -> list[Field]:
        """The fields by which the list can be filtered."""
        return [field for field in self.fields if field.kind.filtered][:MOST_FILTERS]

    @property
    def refs(self) -> list[Field]:
        """The fields that refer to other resources."""
        return [field for field in self.fields if field.target]

    @property
    def first(self) -> Field:
        """The field that tests change."""
        return next(field for field in self.fields if not field.target and not field.optional)


def parse(name: str, fields: str, plural: str, existing: Mapping[str, Names]) -> Resource:
    """The resource. `existing` are those that it may refer to. Raises ResourceError."""
    names = _names(name, plural)
    if len(fields) > MOST_CHARACTERS:
        raise ResourceError(f"FIELDS has {len(fields)} characters; at most {MOST_CHARACTERS}")
    pieces = _PIECE.findall(fields)
    if not pieces:
        raise ResourceError(
            'FIELDS is empty; name at least one, such as FIELDS="title:str due:date?"'
        )
    if len(pieces) > MOST_FIELDS:
        raise ResourceError(f"FIELDS has {len(pieces)} fields; at most {MOST_FIELDS}")
    found: dict[str, Field] = {}
    for piece in pieces:
        try:
            field = _field(piece, names, existing)
            if field.name in found:
                raise ResourceError(f"there is already a field {field.name}")
        except ResourceError as error:
            raise ResourceError(f"FIELDS: {piece}: {error}") from None
        found[field.name] = field
    resource = Resource(names, tuple(found.values()))
    if all(field.target or field.optional for field in resource.fields):
        raise ResourceError("FIELDS needs a field that is required and no ref, such as title:str")
    _check_lengths(resource)
    return resource


def _names(name: str, plural: str) -> Names:
    for variable, value in (("NAME", name), ("PLURAL", plural or plural_of(name))):
        if not NAME.fullmatch(value):
            raise ResourceError(
                f"{variable}={value}: must be one to three words of lower-case letters, joined by"
                " underscores, in the singular for NAME, such as order or order_line"
            )
        if len(value) > LONGEST:
            raise ResourceError(
                f"{variable}={value}: has {len(value)} characters; at most {LONGEST}"
            )
    names = Names(name, plural or plural_of(name))
    if names.singular == names.plural:
        raise ResourceError(f"PLURAL={plural}: must differ from NAME, such as {name}_records")
    if not plural and name.endswith("s") and not name.endswith(("ss", "us", "is")):
        raise ResourceError(
            f"NAME={name}: looks like a plural; give the singular, or PLURAL={names.plural}"
        )
    if why := reserved.of_resource(names.singular, names.plural):
        raise ResourceError(f"NAME={name}: {why}; choose another name, such as shop_{name}")
    return names


def _field(piece: str, names: Names, existing: Mapping[str, Names]) -> Field:
    match = _FIELD.fullmatch(piece)
    if match is None:
        raise ResourceError("must look like name:type, name:type(...), name:type! or name:type?")
    name, kind, inside, marks = match.groups()
    if not _FIELD_NAME.fullmatch(name):
        raise ResourceError(
            "the name must consist of lower-case letters, digits and single underscores, and start"
            " with a letter"
        )
    if kind not in KINDS:
        raise ResourceError(f"{kind!r} is no type; there are: {', '.join(KINDS)}")
    if len(set(marks)) < len(marks):
        raise ResourceError("! and ? may occur once")
    if "!" in marks and kind not in UNIQUE:
        raise ResourceError(
            f"{kind} cannot be unique; these types can: {', '.join(sorted(UNIQUE))}"
        )
    column = f"{name}_id" if kind == "ref" else name
    if why := reserved.of_field(column):
        raise ResourceError(f"the name is {why}; choose another, such as {names.singular}_{name}")
    given = [one.strip() for one in inside[1:-1].split(",")] if inside else []
    built = KINDS[kind](Place(column, names, existing), given)
    if built.filtered and column in reserved.PAGING:
        raise ResourceError(f"the name is a parameter of lists; choose {names.singular}_{name}")
    target = existing[given[0]] if kind == "ref" else None
    return Field(column, built, "!" in marks, "?" in marks, target)


def _check_lengths(resource: Resource) -> None:
    for identifier in _identifiers(resource):
        if len(identifier) > IDENTIFIER_BYTES:
            raise ResourceError(
                f"PostgreSQL's name {identifier} would have {len(identifier)} bytes; at most"
                f" {IDENTIFIER_BYTES}: choose shorter names"
            )


def _identifiers(resource: Resource) -> Sequence[str]:
    table = resource.names.plural
    return [
        *(field.name for field in resource.fields),
        *(name for name, _ in indexes(resource)),
        *(f"uq_{table}_owner_id_{field.name}" for field in resource.fields if field.unique),
        *(f"ck_{table}_{field.name}" for field in resource.fields),
        *(
            f"fk_{table}_owner_id_{field.name}_{field.target.plural}"
            for field in resource.fields
            if field.target
        ),
    ]


def indexes(resource: Resource) -> list[tuple[str, tuple[str, ...]]]:
    """The name and columns of each index: one for each set of filters, and one for each ref."""
    table, chosen = resource.names.plural, [field.name for field in resource.filters]
    sets: list[tuple[str, ...]] = [()]
    for name in chosen:
        sets += [(*some, name) for some in sets]
    # A ref whose column begins none of these: for removals of the row that it refers to.
    begun = {some[0] for some in sets if some}
    found = [
        ("_".join((f"ix_{table}_list", *some)), ("owner_id", *some, "created_at", "id"))
        for some in sets
    ]
    lone = (field.name for field in resource.refs if field.name not in begun and not field.unique)
    return [*found, *((f"ix_{table}_{name}", ("owner_id", name)) for name in lone)]
