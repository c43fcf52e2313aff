"""No pattern takes more than linear time (ReDoS): none repeats what itself repeats without end.

Patterns of schemas run in Pydantic's engine, which is linear by construction; those of `re` are
looked at here, module by module.
"""

import importlib
import pkgutil
import re
from collections.abc import Iterator
from typing import Any

import pytest

import fastapi_base

# Typed as modules of no known content: what is in them is no promise of the library.
_constants: Any = importlib.import_module("re._constants")
_parser: Any = importlib.import_module("re._parser")

# These read the environment, or start something, when they are imported.
PROGRAMS = {"fastapi_base.gunicorn_conf", "fastapi_base.tasks.app", "fastapi_base.migrations.env"}
REPEATS = {_constants.MAX_REPEAT, _constants.MIN_REPEAT}


def patterns() -> Iterator[tuple[str, re.Pattern[Any]]]:
    for found in pkgutil.walk_packages(fastapi_base.__path__, "fastapi_base."):
        if found.name in PROGRAMS:
            continue
        for name, value in vars(importlib.import_module(found.name)).items():
            if isinstance(value, re.Pattern):
                yield f"{found.name}.{name}", value


def endless(parsed: Any, inside: bool = False) -> bool:
    """Whether an endless repeat stands inside another one."""
    for operation, value in parsed:
        if operation in REPEATS:
            _, most, inner = value
            unbounded = most == _constants.MAXREPEAT
            if (inside and unbounded) or endless(inner, inside or unbounded):
                return True
        elif any(endless(inner, inside) for inner in _inner(value)):
            return True
    return False


def _inner(value: Any) -> Iterator[Any]:
    if isinstance(value, _parser.SubPattern):
        yield value
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _inner(part)


def test_no_pattern_repeats_a_repetition() -> None:
    found = dict(patterns())
    assert len(found) > 3
    assert [
        name for name, pattern in found.items() if endless(_parser.parse(pattern.pattern))
    ] == []


@pytest.mark.parametrize("bad", [r"(a+)+b", r"(?:x|(y*z)*)", r"((a|b)*c*)*", r"(.*a){3,}"])
def test_a_pattern_that_does_is_noticed(bad: str) -> None:
    assert endless(_parser.parse(bad))


@pytest.mark.parametrize("good", [r"a+b*", r"(ab){1,3}c+", r"(a|b)+", r"(a?b)*"])
def test_a_pattern_that_does_not_is_let_pass(good: str) -> None:
    assert not endless(_parser.parse(good))
