"""Finds the authorisation rules of a route."""

from collections.abc import Iterator

from fastapi.dependencies.models import Dependant

from fastapi_base.api import deps


def called(dependant: Dependant) -> Iterator[object]:
    for inner in dependant.dependencies:
        yield inner.call
        yield from called(inner)


def rules(dependant: Dependant) -> set[str]:
    """The authorisation rules of the route: a user in a session, or a caller with a scope."""
    found = set()
    for call in called(dependant):
        if call is deps._principal:
            found.add("session")
        if getattr(call, "__qualname__", "").startswith("Requires."):
            found.add("scope")
    return found
