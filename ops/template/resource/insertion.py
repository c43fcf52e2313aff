"""Inserts marked lines into files that list the resources, without formatting them anew."""

import re
from collections.abc import Callable

from ops.template.resource.kinds import ResourceError

WIDTH = 100


def marked(line: str, slice_name: str) -> str:
    """The line as one of the slice; between two marks if it would be too long."""
    one = f"{line}  # slice: {slice_name}"
    if len(one) <= WIDTH:
        return f"{one}\n"
    indent = line[: len(line) - len(line.lstrip())]
    return f"{indent}# begin slice: {slice_name}\n{line}\n{indent}# end slice: {slice_name}\n"


def with_import(text: str, module: str, names: str, slice_name: str) -> str:
    """The text with `from module import names`, in Ruff's order."""
    one = f"from {module} import {names}  # slice: {slice_name}\n"
    if long := len(one) > WIDTH:
        # Ruff would wrap the line, and keep the mark at one part of it.
        one = f"from {module} import {names}\n"
        if len(one) > WIDTH:
            one = f"from {module} import (\n    {names},\n)\n"
        # The empty lines are Ruff's.
        one = f"# begin slice: {slice_name}\n{one}\n# end slice: {slice_name}\n"
    package = module.partition(".")[0]
    found = list(
        re.finditer(rf"^from ({package}[\w.]*) import (\([^)]*\)[^\n]*|[^\n]*)\n", text, re.M)
    )
    if not found:
        raise ResourceError(f"there are no imports from {package}")
    place = next((match.start() for match in found if match[1] > module), found[-1].end())
    if long and not text[:place].endswith("\n\n"):
        one = f"\n{one}"
    return text[:place] + one + text[place:]


def into_block(
    text: str, opening: str, line: str, slice_name: str, follows: Callable[[str], bool]
) -> str:
    """The text with the line in the block that begins with the line `opening`.

    It comes before the first line of the block that `follows` it, or else at the end.
    """
    begin = re.search(rf"^{opening}.*\n", text, re.M)
    if begin is None:
        raise ResourceError(f"there is no line that begins with {opening!r}")
    at = begin.end()
    for existing in text[at:].splitlines(keepends=True):
        # The end of the block, or of an indented one.
        if re.match(r"\S", existing) or follows(existing):
            break
        at += len(existing)
    else:
        raise ResourceError(f"what begins with {opening!r} does not end")
    return text[:at] + marked(line, slice_name) + text[at:]


def before(text: str, anchor: str, line: str, slice_name: str) -> str:
    """The text with the line before the first line that begins with `anchor`."""
    match = re.search(rf"^{anchor}", text, re.M)
    if match is None:
        raise ResourceError(f"there is no line that begins with {anchor!r}")
    return text[: match.start()] + marked(line, slice_name) + text[match.start() :]


def sorts_after(entry: str) -> Callable[[str], bool]:
    """Whether a line's first quoted text comes after this one in a sorted list.

    As Ruff sorts `__all__`: constants, then classes, then other names.
    """

    def rank(name: str) -> tuple[int, str]:
        return (0 if name.isupper() else 1 if name[:1].isupper() else 2), name

    def follows(line: str) -> bool:
        quoted = re.match(r'    "([^"]+)"', line)
        return quoted is not None and rank(quoted[1]) > rank(entry)

    return follows


def starting_with(text: str) -> Callable[[str], bool]:
    """Whether a line begins with this text."""
    return lambda line: line.startswith(text)


def never(_: str) -> bool:
    """For entries at the end of a block."""
    return False
