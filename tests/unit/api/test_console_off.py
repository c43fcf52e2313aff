"""While the console is off, the application neither imports nor serves anything of it."""

import ast
from collections.abc import Iterator
from pathlib import Path

from fastapi import FastAPI

PACKAGE = "fastapi_base.api.console"


def imports(code: ast.AST) -> Iterator[str]:
    """The modules that are imported whenever the code is."""
    for node in ast.iter_child_nodes(code):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from imports(node)


def test_no_module_imports_the_console_by_itself() -> None:
    naming = [
        path
        for path in Path("src/fastapi_base").rglob("*.py")
        if "console" not in path.parts and PACKAGE in path.read_text("utf-8")
    ]
    assert naming == [Path("src/fastapi_base/main.py")]
    assert PACKAGE in naming[0].read_text("utf-8")
    assert not [name for name in imports(ast.parse(naming[0].read_bytes())) if PACKAGE in name]


def test_no_page_is_served(app: FastAPI) -> None:
    assert not hasattr(app.state, "console")
    assert not [route for route in app.routes if "console" in str(getattr(route, "path", ""))]
