"""Draws the imports between parts of a package, from its sources: pictures of docs/architecture.md.

./pants run ops/ci/docs/diagrams.py

A part is a folder or a module directly below the package. Parts are drawn above everything that
they import; transitive arrows are omitted, and the table next to the picture has every import
between parts.
"""

import ast
import sys
from collections.abc import Iterator
from html import escape
from pathlib import Path

#: Each picture: the package, the source root, the title.
PICTURES = {
    Path("docs/pictures/service.svg"): ("fastapi_base", Path("src"), "Imports of the service"),
    Path("docs/pictures/build.svg"): ("ops", Path(), "Imports of the build"),
}

#: For each part the parts that it imports.
Graph = dict[str, set[str]]

_WIDTH, _HEIGHT, _GAP, _RISE, _CELL, _EDGE = 104, 34, 22, 74, 20, 16


class CycleError(Exception):
    """Parts import each other, so that they cannot be layered."""


def imports(package: str, root: Path) -> Graph:
    """The imports of each part. Raises SyntaxError for an invalid source."""
    base = root / package
    graph: Graph = {}
    for source in sorted(base.rglob("*.py")):
        part = source.relative_to(base).parts[0].removesuffix(".py")
        if part == "__init__":
            continue
        used = graph.setdefault(part, set())
        for name in _names(ast.parse(source.read_text(encoding="utf-8"), str(source))):
            parts = name.split(".")
            if parts[0] == package and len(parts) > 1 and parts[1] != part:
                used.add(parts[1])
    # `from package import name` may name something that is not a part.
    return {part: used & graph.keys() for part, used in graph.items()}


def _names(tree: ast.Module) -> Iterator[str]:
    """The full name of every module that a source imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def reached(graph: Graph, part: str, way: tuple[str, ...] = ()) -> set[str]:
    """Everything that a part imports, directly or indirectly. Raises CycleError."""
    if part in way:
        raise CycleError(" -> ".join([*way[way.index(part) :], part]))
    found = set(graph[part])
    for other in graph[part]:
        found |= reached(graph, other, (*way, part))
    return found


def layers(graph: Graph) -> list[list[str]]:
    """Parts in layers from the bottom up: each on the lowest layer above all its imports."""
    below = {part: reached(graph, part) for part in graph}
    height: dict[str, int] = {}
    for part in sorted(graph, key=lambda one: (len(below[one]), one)):
        height[part] = 1 + max((height[other] for other in graph[part]), default=-1)
    # A part without imports in either direction is not drawn.
    used = {part for part in graph if graph[part]}.union(*graph.values())
    levels = range(1 + max(height.values(), default=-1))
    return [sorted(one for one in used if height[one] == level) for level in levels]


def arrows(graph: Graph) -> list[tuple[str, str]]:
    """Imports that are not implied by others."""
    return [
        (part, other)
        for part in sorted(graph)
        for other in sorted(graph[part])
        if not any(other in reached(graph, between) for between in graph[part] - {other})
    ]


def draw(graph: Graph, title: str) -> str:
    """The picture as SVG, the same text for the same graph. Raises CycleError."""
    rows = layers(graph)
    wide = max(len(row) for row in rows)
    left_width = wide * (_WIDTH + _GAP)
    place = {}
    for level, row in enumerate(rows):
        indent = (wide - len(row)) * (_WIDTH + _GAP) / 2 + _GAP / 2
        for column, part in enumerate(row):
            top = _EDGE + (len(rows) - 1 - level) * _RISE
            place[part] = (_EDGE + indent + column * (_WIDTH + _GAP), top)
    order = [part for row in reversed(rows) for part in row]
    table, rows_at = left_width + 3 * _EDGE + _WIDTH, _EDGE + _WIDTH
    width = table + len(order) * _CELL + _EDGE
    height = max(len(rows) * _RISE, rows_at + len(order) * _CELL) + _EDGE
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        'font-family="sans-serif" font-size="13" role="img">',
        f"<title>{escape(title)}</title>",
        '<rect width="100%" height="100%" fill="#fff"/>',
        '<marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" '
        'orient="auto"><path d="M0 0 8 4 0 8z" fill="#4c78a8"/></marker>',
        *(_box(part, *place[part]) for part in order),
        *(_arrow(place[one], place[other]) for one, other in arrows(graph)),
        *_table(graph, order, table, rows_at),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _arrow(one: tuple[float, float], other: tuple[float, float]) -> str:
    """Between neighbouring layers from middle to middle; across others dashed, along the right."""
    past = other[1] - one[1] > _RISE
    aside = _WIDTH - 12 if past else _WIDTH / 2
    x, y, to_x, to_y = one[0] + aside, one[1] + _HEIGHT, other[0] + aside, other[1]
    bend = (to_y - y) / 2
    way = f"M{x:g} {y:g}C{x:g} {y + bend:g} {to_x:g} {to_y - bend:g} {to_x:g} {to_y:g}"
    dashes = ' stroke-dasharray="4 3"' if past else ""
    return f'<path d="{way}" fill="none" stroke="#4c78a8"{dashes} marker-end="url(#tip)"/>'


def _box(part: str, x: float, y: float) -> str:
    return (
        f'<rect x="{x:g}" y="{y:g}" width="{_WIDTH}" height="{_HEIGHT}" rx="4" fill="#eef3f8" '
        f'stroke="#4c78a8"/><text x="{x + _WIDTH / 2:g}" y="{y + 22:g}" '
        f'text-anchor="middle">{escape(part)}</text>'
    )


def _table(graph: Graph, order: list[str], left: float, top: float) -> Iterator[str]:
    """A row for each part, with a dot below each part that it imports."""
    for number, part in enumerate(order):
        middle = number * _CELL + _CELL / 2
        x, y = left + middle, top + middle
        yield f'<text x="{left - 6:g}" y="{y + 4:g}" text-anchor="end">{escape(part)}</text>'
        yield f'<text transform="translate({x + 4:g} {top - 6:g}) rotate(-90)">'
        yield f"{escape(part)}</text>"
        yield f'<path d="M{left:g} {y:g}h{len(order) * _CELL}M{x:g} {top:g}v{len(order) * _CELL}" '
        yield 'stroke="#e4e8ec"/>'
    for row, part in enumerate(order):
        for column, other in enumerate(order):
            if other in graph[part]:
                x, y = left + (column + 0.5) * _CELL, top + (row + 0.5) * _CELL
                yield f'<circle cx="{x:g}" cy="{y:g}" r="5" fill="#4c78a8">'
                yield f"<title>{escape(part)} imports {escape(other)}</title></circle>"


def main() -> int:
    """Write all pictures. Returns the exit status."""
    for path, (package, root, title) in PICTURES.items():
        try:
            picture = draw(imports(package, root), title)
        except CycleError as error:
            print(f"diagrams: {package} has a cycle of imports: {error}", file=sys.stderr)
            return 1
        path.write_text(picture, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
