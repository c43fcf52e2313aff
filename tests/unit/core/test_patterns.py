"""Every pattern runs in linear time (no ReDoS).

Pydantic's engine, which runs the patterns of schemas, is linear by construction. These tests check
the patterns of `re` in every module: their structure, in which no unbounded repeat may contain
another one, and the growth of their CPU time with the length of hostile texts.
"""

import dataclasses
import importlib
import itertools
import pkgutil
import re
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

import fastapi_base

# Typed as modules of unknown content: their contents are not a public API of the library.
_constants: Any = importlib.import_module("re._constants")
_parser: Any = importlib.import_module("re._parser")

# Importing these reads the environment or starts something.
PROGRAMS = {"fastapi_base.gunicorn_conf", "fastapi_base.tasks.app", "fastapi_base.migrations.env"}
REPEATS = {_constants.MAX_REPEAT, _constants.MIN_REPEAT}
# The lengths of the texts. Linear work grows by the same factor, quadratic work by its square.
SHORT, FACTOR = 1_000, 8
# The code applies these with match() or fullmatch(), which try one position of the text only.
ANCHORED = ("._LINK", "._SCHEME", "._PROJECT", "._BLANK_START")
# Characters that most patterns treat in different ways.
COMMON = {" ", "\n", "a", "1", "-", "_", ".", ":", "/"}


def patterns() -> Iterator[tuple[str, re.Pattern[Any]]]:
    for found in pkgutil.walk_packages(fastapi_base.__path__, "fastapi_base."):
        if found.name in PROGRAMS:
            continue
        for name, value in vars(importlib.import_module(found.name)).items():
            yield from _within(f"{found.name}.{name}", value)


def _within(name: str, value: Any) -> Iterator[tuple[str, re.Pattern[Any]]]:
    """The patterns in the value, also in collections and dataclasses."""
    if isinstance(value, re.Pattern):
        yield name, value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _within(f"{name}[{key!r}]", inner)
    elif isinstance(value, list | tuple | set | frozenset):
        for number, inner in enumerate(value):
            yield from _within(f"{name}[{number}]", inner)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            yield from _within(f"{name}.{field.name}", getattr(value, field.name, None))


def endless(parsed: Any, inside: bool = False) -> bool:
    """Whether an unbounded repeat contains another one."""
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


def literals(parsed: Any) -> Iterator[str]:
    """The fixed texts of a pattern."""
    text = ""
    for operation, value in parsed:
        if operation == _constants.LITERAL:
            text += chr(value)
            continue
        if text:
            yield text
        text = ""
        for inner in _inner(value):
            yield from literals(inner)
    if text:
        yield text


def superlinear(pattern: re.Pattern[Any], *, anchored: bool = False) -> tuple[str, str] | None:
    """The start and the repeated part of a text whose CPU time grows faster than its length."""
    apply = pattern.fullmatch if anchored else pattern.findall
    kind = "latin-1" if isinstance(pattern.pattern, bytes) else None
    pieces = COMMON | set(literals(_parser.parse(pattern.pattern, pattern.flags)))
    for start, other in itertools.product(sorted(pieces), repeat=2):
        for part in (other, start + other):
            texts = [start + part * (size // len(part)) for size in (SHORT, SHORT * FACTOR)]
            short, long = [text.encode(kind) if kind else text for text in texts]
            # The limit lies between linear and quadratic growth. Five measurements in a row,
            # because other load on the machine may spoil some.
            if all(_seconds(apply, long) > FACTOR**1.5 * _seconds(apply, short) for _ in range(5)):
                return start, part
    return None


def _seconds(work: Callable[[Any], object], given: str | bytes) -> float:
    """The CPU time of the work."""
    begin = time.process_time()
    work(given)
    # Shorter times are mostly noise.
    return max(time.process_time() - begin, 0.000_1)


def test_no_pattern_nests_unbounded_repeats() -> None:
    found = dict(patterns())
    # One in a module and one in a table.
    assert any(name.endswith("redaction._NAMED") for name in found)
    assert any("redaction._SECRET_TEXT[" in name for name in found)
    assert [
        name for name, pattern in found.items() if endless(_parser.parse(pattern.pattern))
    ] == []


def test_cpu_time_of_patterns_grows_linearly_with_hostile_texts() -> None:
    grows = {
        name: superlinear(pattern, anchored=name.endswith(ANCHORED)) for name, pattern in patterns()
    }
    assert {name: text for name, text in grows.items() if text is not None} == {}


@pytest.mark.parametrize("bad", [r"(?<=x: ).*?(?=\n\s*y|\Z)", r"\bx[\w-]+\."])
def test_quadratic_growth_is_detected(bad: str) -> None:
    assert superlinear(re.compile(bad, re.DOTALL))


@pytest.mark.parametrize("bad", [r"(a+)+b", r"(?:x|(y*z)*)", r"((a|b)*c*)*", r"(.*a){3,}"])
def test_nested_repeats_are_detected(bad: str) -> None:
    assert endless(_parser.parse(bad))


@pytest.mark.parametrize("good", [r"a+b*", r"(ab){1,3}c+", r"(a|b)+", r"(a?b)*"])
def test_linear_patterns_pass(good: str) -> None:
    assert not endless(_parser.parse(good))
