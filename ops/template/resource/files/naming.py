"""What templates call a resource."""

from ops.template.resource.specification import Resource


def names(resource: Resource, package: str) -> dict[str, str]:
    """What templates call the resource and the package."""
    n = resource.names
    return {
        "package": package,
        "one": n.singular,
        "many": n.plural,
        "Model": n.model,
        "Models": n.models,
        "MANY": n.plural.upper(),
        "path": n.path,
        "words": n.words,
        "Words": n.words.capitalize(),
        "all": n.many,
        "All": n.many.capitalize(),
        "an": n.an,
    }


def lines(found: list[str], indent: int = 0) -> str:
    """The lines, with this indentation after the first."""
    return f"\n{' ' * indent}".join(found)
