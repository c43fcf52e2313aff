"""Finds uses of libraries beyond their public API in the service's sources."""

import ast
import importlib
import inspect
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_OURS = "fastapi_base"
_PRIVATE = re.compile(r"_[A-Za-z]\w*(?<!__)")
_IGNORED = re.compile(r"([\w.]+)[^#\n]*#\s*type:\s*ignore\[[^\]]*attr-defined")
# Undocumented names without an underscore, by their prefixes.
_INTERNAL = (
    "authlib.integrations.base_client",  # slice: oidc
    "celery.beat",
    "celery.concurrency",
    "celery.worker",
    "fastapi.dependencies",
    "fastapi.routing.RouteContext",
    "fastapi.routing.iter_route_contexts",
    "fastapi.routing.request_response",
    "fastapi.utils",
    "gunicorn",
    "prometheus_client.mmap_dict",
    "prometheus_client.multiprocess",
    "prometheus_client.values",
    "redis.asyncio.connection",
    "redis.asyncio.sentinel",
    "sqlalchemy.dialects.postgresql.asyncpg",
    "sqlalchemy.util",
    "starlette.convertors",
    "starlette.middleware.body_limit",
    "starlette.routing.compile_path",
    "starlette.routing.request_response",
    "uvicorn.protocols",
    "zxcvbn.frequency_lists",
)
# Functions that import or find the module that their first argument names.
_BY_NAME = (
    "importlib.import_module",
    "importlib.machinery.PathFinder.find_spec",
    "importlib.util.find_spec",
)


@dataclass(frozen=True, order=True)
class Use:
    """A name, and the file that uses it, relative to the package."""

    file: str
    name: str


def uses(package: Path) -> set[Use]:
    """Private names of other distributions, changes of their objects, and overridden private
    methods.

    That is: imports of modules and names with a leading underscore; attributes, keywords and keys
    with one that the package itself does not define; private names of a library's class that a
    subclass also has; attributes that are set on foreign objects; `type: ignore[attr-defined]`; and
    modules that a library does not document. Modules may be imported by a constant name.
    """
    trees = {path: ast.parse(path.read_text()) for path in sorted(package.rglob("*.py"))}
    own = _Own()
    for tree in trees.values():
        own.visit(tree)
    found = set()
    for path, tree in trees.items():
        names = _Module(tree, own).names()
        ignored = {_hidden(match[0]) for match in _IGNORED.finditer(path.read_text())}
        found |= {Use(str(path.relative_to(package)), name) for name in names | ignored}
    return found


def _hidden(line: str) -> str:
    """The attribute that the line hides from the type checker."""
    code = line.partition("#")[0]
    found: list[str] = re.findall(r"\.(__\w+__)", code) or re.findall(r"[\w.]+", code)
    return found[0]


class _Own(ast.NodeVisitor):
    """The names that the package defines: functions, classes, attributes and parameters."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.attributes: set[str] = set()
        self.types: set[str] = set()

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        arguments = node.args
        self.names |= {node.name} | {
            given.arg for given in [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        }
        self.generic_visit(node)

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self.names.add(node.name)
        self.types.add(node.name)
        for part in node.body:
            if isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name):
                self.attributes.add(part.target.id)
            if isinstance(part, ast.Assign):
                for constant in ast.walk(part):
                    if isinstance(constant, ast.Constant) and isinstance(constant.value, str):
                        self.attributes.add(constant.value)  # __slots__
                self.attributes |= {t.id for t in part.targets if isinstance(t, ast.Name)}
        self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> None:
        for target in node.targets:
            self._add(target)
        self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self._add(node.target)
        self.generic_visit(node)

    def visit_TypeAlias(self, node: ast.TypeAlias) -> None:
        self.names.add(node.name.id)
        self.types.add(node.name.id)

    def _add(self, target: ast.expr) -> None:
        if isinstance(target, (ast.Tuple, ast.List)):
            for part in target.elts:
                self._add(part)
        elif isinstance(target, ast.Name):
            self.names.add(target.id)
        elif isinstance(target, ast.Attribute) and _is_self(target.value):
            self.attributes.add(target.attr)


class _Module:
    """One module of the package."""

    def __init__(self, tree: ast.Module, own: _Own) -> None:
        self._tree = tree
        self._known = own.names | own.attributes
        self._own = own
        # The origin of each imported name.
        self._imported: dict[str, str] = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    self._imported[alias.asname or alias.name.partition(".")[0]] = alias.name
            elif isinstance(node, ast.ImportFrom) and node.module:
                for alias in node.names:
                    self._imported[alias.asname or alias.name] = f"{node.module}.{alias.name}"

    def names(self) -> set[str]:
        found = {name for name in self._imported.values() if _undocumented(name)}
        for node in ast.walk(self._tree):
            found |= set(self._of(node))
        return found

    def _of(self, node: ast.AST) -> Iterator[str]:
        if isinstance(node, ast.Attribute):
            whole = self._resolved(node)
            if whole and _foreign(whole) and _internal(whole):
                yield whole
            ours = node.attr in self._known or (whole is not None and not _foreign(whole))
            if _PRIVATE.fullmatch(node.attr) and not ours:
                yield whole or node.attr
        elif isinstance(node, ast.Call):
            yield from self._of_call(node)
        elif isinstance(node, (ast.Assign, ast.AugAssign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                yield from self._of_target(target)
        elif isinstance(node, ast.Subscript):
            yield from self._of_text(node.slice)
        elif isinstance(node, ast.Dict):
            for key in node.keys:
                yield from self._of_text(key)
        elif isinstance(node, ast.ClassDef):
            yield from self._of_class(node)

    def _of_text(self, node: ast.AST | None) -> Iterator[str]:
        """A foreign key, such as that of a log record; not a quoted type."""
        text = node.value if isinstance(node, ast.Constant) else None
        if isinstance(text, str) and _PRIVATE.fullmatch(text) and text not in self._own.types:
            yield text

    def _of_call(self, node: ast.Call) -> Iterator[str]:
        for keyword in node.keywords:
            if keyword.arg and _PRIVATE.fullmatch(keyword.arg) and keyword.arg not in self._known:
                yield f"{keyword.arg}="
        if self._resolved(node.func) in _BY_NAME:
            for given in node.args[:1]:
                module = given.value if isinstance(given, ast.Constant) else None
                if isinstance(module, str) and _undocumented(module):
                    yield module
        if isinstance(node.func, ast.Name) and node.func.id in ("getattr", "setattr", "hasattr"):
            name = node.args[1]
            if isinstance(name, ast.Constant):
                yield from self._of_text(name)
            elif node.func.id == "setattr":
                yield "setattr"

    def _of_target(self, target: ast.expr) -> Iterator[str]:
        if isinstance(target, (ast.Tuple, ast.List)):
            for part in target.elts:
                yield from self._of_target(part)
        if isinstance(target, ast.Attribute) and not _is_self(target.value):
            whole = self._resolved(target)
            if whole and _foreign(whole):
                yield f"{whole} ="
            elif not whole and target.attr not in self._own.attributes:
                yield f"{target.attr} ="

    def _of_class(self, node: ast.ClassDef) -> Iterator[str]:
        for base in node.bases:
            whole = self._resolved(base.value if isinstance(base, ast.Subscript) else base)
            if whole is None or not _foreign(whole):
                continue
            yield f"class {whole}"
            theirs = _private_names_of(whole)
            mine = {part.name for part in node.body if isinstance(part, _FUNCTIONS)} | {
                found.attr
                for found in ast.walk(node)
                if isinstance(found, ast.Attribute) and _is_self(found.value)
            }
            yield from (f"{whole}.{name}" for name in mine & theirs)

    def _resolved(self, node: ast.AST) -> str | None:
        """The dotted name of what an expression refers to if it starts with an import, else
        None.
        """
        if isinstance(node, ast.Name):
            return self._imported.get(node.id)
        if isinstance(node, ast.Attribute):
            before = self._resolved(node.value)
            return f"{before}.{node.attr}" if before else None
        return None


_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def _is_self(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id in ("self", "cls")


def _foreign(name: str) -> bool:
    top = name.partition(".")[0]
    return top != _OURS and top not in sys.stdlib_module_names


def _private(name: str) -> bool:
    return any(_PRIVATE.fullmatch(part) for part in name.split("."))


def _internal(name: str) -> bool:
    return any(name == known or name.startswith(f"{known}.") for known in _INTERNAL)


def _undocumented(name: str) -> bool:
    return _foreign(name) and (_private(name) or _internal(name))


def resolve(name: str) -> object:
    """The object with this dotted name. Raises ImportError and AttributeError."""
    module = name
    rest: list[str] = []
    while True:
        try:
            found: object = importlib.import_module(module)
            break
        except ModuleNotFoundError:
            module, _, last = module.rpartition(".")
            if not module:
                raise
            rest.insert(0, last)
    for part in rest:
        found = getattr(found, part)
    return found


@cache
def _private_names_of(name: str) -> set[str]:
    """Private names of a library's class: its methods, and what its methods set on `self`."""
    kind = resolve(name)
    found: set[str] = set()
    for part in inspect.getmro(kind) if inspect.isclass(kind) else ():
        if part.__module__ == "builtins":
            continue
        found |= {attribute for attribute in vars(part) if _PRIVATE.fullmatch(attribute)}
        try:
            source = inspect.getsource(part)
        except (OSError, TypeError):
            continue
        found |= set(re.findall(r"\bself\.(_[a-z]\w*)", source))
    return {attribute for attribute in found if _PRIVATE.fullmatch(attribute)}
