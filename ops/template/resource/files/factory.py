"""The factory of a resource, for tests and `make seed`."""

import re
from string import Template

from ops.template.resource.files.naming import names
from ops.template.resource.specification import Field, Resource

_FACTORY = Template('''"""$All: their factory."""

$imports
from $package.models import $Model
from ops.dev.seed.base import Factory


class ${Model}Factory(Factory[$Model]):
    """$An without its optional values."""

$values
''')


def render(resource: Resource, package: str) -> str:
    """The module of the factory."""
    given = {field.name: _value(field) for field in resource.fields if not field.optional}
    values = "\n".join(f"    {name} = {value}" for name, value in given.items() if value)
    imports = [
        *(["from decimal import Decimal\n"] if "Decimal(" in values else []),
        *(["from polyfactory import Use\n"] if "Use(" in values else []),
    ]
    return _FACTORY.substitute(
        **names(resource, package),
        An=_capital(resource),
        imports="\n".join(imports),
        values=values or "    pass",
    )


def _value(field: Field) -> str:
    """The expression of a value that the database accepts; empty where the base has one."""
    kind = field.kind
    if field.target or kind.model in ("datetime", "uuid.UUID"):
        return ""
    if kind.model == "date":
        return "Use(lambda: Factory.moment().date())"
    if kind.model == "Decimal":
        return f"Decimal({kind.example})"
    if kind.model.startswith("dict"):
        return f"Use(lambda: {kind.example})"
    if field.unique and kind.model == "int":
        return "Use(lambda: Factory.__random__.randrange(2**31))"
    if field.unique:
        length = re.search(r"String\((\d+)\)", kind.column)
        return f"Use(lambda: Factory.digest().hex()[:{length[1] if length else 16}])"
    return kind.example


def _capital(resource: Resource) -> str:
    text = resource.names.an
    return text[0].upper() + text[1:]
