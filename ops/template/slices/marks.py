"""Marks: lines that belong to slices, in files that do not.

A line that ends in `# slice: items`, or that contains `<!-- slice: items -->` on a page, belongs to
the slice. So do the lines between two such comments that begin with `begin slice` and `end slice`;
blocks can be nested. A mark with several names, `# slice: oidc, passkeys`, is for what each of them
needs: the lines go with the last of them.
"""

import re

from ops.template.slices.manifest import SliceError

_NAMES = r"([a-z][a-z0-9_-]*(?:, [a-z][a-z0-9_-]*)*)"
_PAGE = re.compile(rf"<!-- slice: {_NAMES} -->")
_CODE = re.compile(rf"# slice: {_NAMES}$")
_EDGE = re.compile(rf"\s*(?:#|<!--) (begin|end) slice: {_NAMES}(?: -->)?\s*")

#: For each line the sets of slices that it depends on: it goes when one of the sets is empty.
type Conditions = list[tuple[frozenset[str], ...]]


def conditions(text: str, *, page: bool) -> Conditions:
    """What each line depends on. Raises SliceError with the line's number for wrong blocks."""
    found: Conditions = []
    blocks: list[tuple[int, frozenset[str]]] = []
    for number, line in enumerate(text.splitlines(), 1):
        edge = _EDGE.fullmatch(line)
        names = _names(edge[2]) if edge else None
        if edge and names and edge[1] == "begin":
            blocks.append((number, names))
        around = tuple(one for _, one in blocks)
        mark = None if edge else (_PAGE if page else _CODE).search(line.rstrip())
        found.append((*around, _names(mark[1])) if mark else around)
        if edge and names and edge[1] == "end":
            if not blocks or blocks[-1][1] != names:
                raise SliceError(f"{number}: unexpected end of the slice {edge[2]}")
            blocks.pop()
    if blocks:
        number, names = blocks[0]
        raise SliceError(f"{number}: the block of {', '.join(sorted(names))} does not end")
    return found


def without(text: str, name: str, *, page: bool) -> str:
    """The text without what belongs to a slice alone. Raises SliceError as `conditions` does."""
    depends = conditions(text, page=page)
    lines = zip(text.splitlines(keepends=True), depends, strict=True)
    return "".join(
        _unnamed(line, name) if any(name in one for one in sets) else line
        for line, sets in lines
        if frozenset({name}) not in sets
    )


def _names(listed: str) -> frozenset[str]:
    return frozenset(listed.split(", "))


def _unnamed(line: str, name: str) -> str:
    """The line with a mark that does not have this name."""

    def shorter(mark: re.Match[str]) -> str:
        return mark[1] + ", ".join(one for one in mark[2].split(", ") if one != name)

    return re.sub(rf"(slice: ){_NAMES}", shorter, line)
