"""Report the coverage of the Pants plugins, as recorded by sitecustomize.py: text, HTML, threshold.

Both reports come from coverage.py, like those of the service. Exit status 2 means that the coverage
is below the threshold.
"""

import argparse
import ast
import json
import sys
from pathlib import Path
from typing import Dict, Iterator, List, Set, Tuple

from coverage import Coverage
from slipcover import merge_coverage

SOURCES = Path("ops/build/plugins")
Arc = Tuple[int, int]


def arcs(path: Path, executed_lines: List[int], executed_branches: List[List[int]]) -> Set[Arc]:
    """SlipCover's lines and branches as coverage.py's arcs.

    A line that ran is entered from -1. Leaving a function is 0 in SlipCover, and minus the
    function's first line in coverage.py. SlipCover does not count a decorator that is only a name
    as a line.
    """
    lines = set(executed_lines)
    begins: Dict[int, int] = {}
    for node in ast.walk(ast.parse(path.read_bytes())):  # outer ones come first
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            begin = min(one.lineno for one in (node, *node.decorator_list))
            begins.update(dict.fromkeys(range(begin, node.end_lineno + 1), begin))
            if node.lineno in lines:
                lines.add(begin)
    found = {(-1, line) for line in lines}
    return found | {(line, to or -begins.get(line, 1)) for line, to in executed_branches}


def merged(folder: Path) -> Dict[str, Dict[str, List]]:
    """The coverage recorded by all processes together, by file. Raises SystemExit if there is
    none.
    """
    parts: Iterator[dict] = (json.loads(one.read_text()) for one in sorted(folder.glob("*.json")))
    whole = next(parts, None)
    if whole is None:
        raise SystemExit(f"coverage of plugins: no process has written into {folder}")
    for part in parts:
        merge_coverage(whole, part)
    return whole["files"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="the directory that PLUGINS_COVERAGE names")
    parser.add_argument("html", help="the directory of the report")
    parser.add_argument(
        "--fail-under", type=float, required=True, help="minimum coverage in per cent"
    )
    options = parser.parse_args()
    measured = merged(options.folder)
    # No file: to read pyproject.toml, coverage needs a library that Python 3.9 lacks.
    cover = Coverage(data_file=None, config_file=False, branch=True, source=[str(SOURCES)])
    cover.set_option("report:precision", 1)
    cover.set_option("report:show_missing", True)
    cover.set_option("report:skip_covered", True)
    cover.exclude("if TYPE_CHECKING:")
    data = cover.get_data()
    # A file that was never loaded counts as well, as uncovered.
    for path in sorted(SOURCES.rglob("*.py")):
        seen = measured.get(str(path), {"executed_lines": [], "executed_branches": []})
        found = arcs(path, seen["executed_lines"], seen["executed_branches"])
        data.add_arcs({str(path.resolve()): found})
        if not found:
            data.touch_file(str(path.resolve()))
    total = cover.report(file=sys.stdout)
    cover.html_report(directory=options.html, title="Plugins of Pants")
    if total < options.fail_under:
        print(
            f"coverage of plugins: {total:.1f} % is under {options.fail_under:g} %", file=sys.stderr
        )
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
