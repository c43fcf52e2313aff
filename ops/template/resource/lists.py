"""The files that list the resources, and the line of a resource in each."""

from collections.abc import Callable, Mapping

from ops.template.resource.insertion import (
    before,
    into_block,
    never,
    sorts_after,
    starting_with,
    with_import,
)
from ops.template.resource.specification import Resource

type Edit = Callable[[str], str]


def edits(resource: Resource, package: str) -> Mapping[str, Edit]:
    """What to do with the text of each file. Edits raise ResourceError."""
    names = resource.names
    source = f"src/{package}"
    return {
        "src/BUILD": _build(names.plural),
        f"{source}/models/__init__.py": _models(resource, package),
        f"{source}/core/security/scopes.py": _scopes(resource),
        f"{source}/services/identity/ownership.py": _kept(names.plural),
        f"{source}/services/privacy/exported.py": _exported(resource, package),
        f"{source}/api/v1/router.py": _router(names.plural, package),
        f"{source}/api/openapi.py": _tag(resource),
        "ops/dev/seed/factories.py": _factories(resource),
        "tests/integration/BUILD": _test_support(names.plural),
        "tests/integration/filling.py": _filling(names.plural),
        "tests/integration/db/test_list_plans.py": _list_plans(resource),
    }


def _build(many: str) -> Edit:
    line = f'    "{many}": dict(edge=["{many}"]),'
    return lambda text: into_block(text, "DOMAINS = {", line, many, sorts_after(many))


def _models(resource: Resource, package: str) -> Edit:
    names = resource.names

    def edit(text: str) -> str:
        module = f"{package}.models.{names.plural}.{names.singular}"
        text = with_import(text, module, names.model, names.plural)
        entry, after = f'    "{names.model}",', sorts_after(names.model)
        return into_block(text, r"__all__ = \[", entry, names.plural, after)

    return edit


def _factories(resource: Resource) -> Edit:
    names = resource.names
    name = f"{names.model}Factory"
    module = f"ops.dev.seed.{names.plural}"
    return lambda text: with_import(text, module, f"{name} as {name}", names.plural)


def _scopes(resource: Resource) -> Edit:
    names = resource.names
    many = names.plural
    said = {"READ": f"Read your own {names.many}.", "WRITE": f"Change your own {names.many}."}

    def edit(text: str) -> str:
        for right, description in said.items():
            scope = f"{many.upper()}_{right}"
            value = f'    {scope} = "{names.path}:{right.lower()}"'
            described = f'    Scope.{scope}: "{description}",'
            role = "USER = frozenset"
            text = into_block(text, "class Scope", value, many, starting_with("    USERS_READ"))
            users = starting_with("    Scope.USERS_READ")
            text = into_block(text, "DESCRIPTIONS", described, many, users)
            text = into_block(text, role, f"        Scope.{scope},", many, starting_with("    }"))
        return text

    return edit


def _kept(many: str) -> Edit:
    line = f'    "{many}": "content gives no access, and is mostly the owner\'s own",'
    return lambda text: into_block(text, "KEPT", line, many, never)


def _exported(resource: Resource, package: str) -> Edit:
    names = resource.names

    def edit(text: str) -> str:
        module = f"{package}.models.{names.plural}.{names.singular}"
        text = with_import(text, module, names.model, names.plural)
        line = f'    owned("{names.path}", {names.model}, "owner_id"),'
        return into_block(text, "EXPORTED", line, names.plural, never)

    return edit


def _router(many: str, package: str) -> Edit:
    def edit(text: str) -> str:
        text = with_import(text, f"{package}.api.v1.endpoints.{many}", many, many)
        line = f"router.include_router({many}.router, dependencies=[WritableUnlessReadOnly])"
        return before(text, "# Login, logout", line, many)

    return edit


def _tag(resource: Resource) -> Edit:
    names = resource.names
    line = f'    {{"name": "{names.path}", "description": "The {names.many} of an account."}},'
    return lambda text: into_block(
        text, r"TAGS = \[", line, names.plural, starting_with('    {"name": "health"')
    )


def _test_support(many: str) -> Edit:
    def follows(line: str) -> bool:
        name = line.strip().strip('",')
        return line.startswith("    ],") or (name.endswith(".py") and name > f"{many}_rows.py")

    def edit(text: str) -> str:
        line = f'        "{many}_rows.py",'
        head, middle, rest = text.partition('        "conftest.py",')
        return head + into_block(middle + rest, r'        "conftest', line, many, follows)

    return edit


def _filling(many: str) -> Edit:
    constant = many.upper()

    def edit(text: str) -> str:
        text = with_import(text, f"tests.integration.{many}_rows", constant, many)
        return before(text, r"\n\ndef statements", f'ROWS["{many}"] = {constant}', many)

    return edit


def _list_plans(resource: Resource) -> Edit:
    many, constant = resource.names.plural, resource.names.plural.upper()

    def edit(text: str) -> str:
        module = f"tests.integration.{many}_rows"
        text = with_import(text, module, f"FILTERS as {constant}", many)
        line = f'VALUES["/api/v1/{resource.names.path}"] = {constant}'
        return before(text, "# Which of the three each filter", line, many)

    return edit
