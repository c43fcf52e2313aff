"""Reports what sitecustomize.py has seen of the plugins of Pants: text, HTML, and the gate.

Both reports are coverage.py's, so they read like those of the service. Exit status 2 means that the
gate was not reached.
"""

import argparse
import ast
import json
import sys
from pathlib import Path
from typing import Dict, Iterator, List, Set, Tuple

from coverage import Coverage
from slipcover import merge_coverage

SOURCES = Path("ops/plugins")
Arc = Tuple[int, int]


def arcs(path: Path, executed_lines: List[int], executed_branches: List[List[int]]) -> Set[Arc]:
    """SlipCover's lines and branches as coverage.py's arcs.

    A line that ran is entered from -1. To leave a function is 0 there, and here minus the line
    where the function begins. A decorator that is but a name is no line there.
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
    """What all processes together have seen, by file. Raises SystemExit where there is nothing."""
    parts: Iterator[dict] = (json.loads(one.read_text()) for one in sorted(folder.glob("*.json")))
    whole = next(parts, None)
    if whole is None:
        raise SystemExit(f"coverage of plugins: no process has written into {folder}")
    for part in parts:
        merge_coverage(whole, part)
    return whole["files"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="what PLUGINS_COVERAGE named")
    parser.add_argument("html", help="where the report goes")
    parser.add_argument("--fail-under", type=float, required=True, help="per cent")
    options = parser.parse_args()
    measured = merged(options.folder)
    cover = Coverage(data_file=None, config_file=".coveragerc", source=[str(SOURCES)])
    data = cover.get_data()
    # A file that nothing loaded counts as well, with none of its lines.
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
