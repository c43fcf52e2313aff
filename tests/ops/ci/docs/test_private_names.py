"""Each use of a library beyond its public API has a row in docs/developing.md, and a test."""

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from fastapi_base.core.runtime.libraries import TESTED
from tests.ops.ci.docs.private_names import Use, resolve, uses

PAGE = Path("docs/developing.md")
PACKAGE = Path("src/fastapi_base")
#: Extension points, attributes and keys that their libraries, or Python, document.
DOCUMENTED = frozenset(
    {
        # pydantic, SQLModel and SQLAlchemy
        "class pydantic.BaseModel",
        "class pydantic_settings.BaseSettings",
        "class sqlmodel.SQLModel",
        "_env_file=",
        "_mapping",
        "__table__",
        "naming_convention =",
        "is_disconnect =",
        "invalidate_pool_on_disconnect =",
        # FastAPI and Starlette
        "browser =",
        "class fastapi.security.APIKeyCookie",
        "class fastapi.security.HTTPBearer",
        "class starlette.responses.JSONResponse",
        "openapi =",
        "openapi_schema =",
        "resources =",
        "status_code =",
        # clients and servers of observability
        "class openfeature.provider.AbstractProvider",
        "class opentelemetry.sdk.trace.SpanProcessor",
        "class prometheus_client.MetricsHandler",
        "class prometheus_client.registry.Collector",
        "class structlog.stdlib.ProcessorFormatter",
        # Python
        "__cause__ =",
        "args =",
        "check_hostname =",
        "compress_type =",
        "exc_info =",
        "exc_text =",
        "logging.logAsyncioTasks",
        "msg =",
        "verify_mode =",
    }
)
#: Calls of `setattr` on a log record of Python.
OF_PYTHON = {Use("core/observability/log_queue.py", "setattr")}


@dataclass(frozen=True)
class Row:
    library: str
    names: tuple[str, ...]
    files: tuple[str, ...]
    test: str

    def covers(self, use: Use) -> bool:
        if use.file not in self.files:
            return False
        name = use.name.removeprefix("class ")
        for known in self.names:
            rest = name.removeprefix(f"{known}.")
            if name == known.removeprefix("class ") or (rest != name and "_" not in rest[:1]):
                return True
        return False


def rows(text: str) -> list[Row]:
    """The rows of the table."""
    start = text.index("## Beyond the public API of libraries")
    section = text[start : text.index("\n## ", start + 3)]
    found = []
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("|") or len(cells) != 6 or cells[0] in ("library", "---"):
            continue
        library, names, files, _, guard, test = cells
        assert guard, f"{names}: the column 'when it changes' is empty"
        found.append(Row(library, _quoted(names), _quoted(files), test.strip("`")))
    return found


def _quoted(cell: str) -> tuple[str, ...]:
    return tuple(re.findall(r"`([^`]+)`", cell))


def without_row(found: set[Use], known: list[Row]) -> list[Use]:
    return sorted(
        use
        for use in found
        if use.name not in DOCUMENTED
        and use not in OF_PYTHON
        and not any(row.covers(use) for row in known)
    )


ROWS = rows(PAGE.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def used() -> set[Use]:
    return uses(PACKAGE)


def test_each_use_has_a_row(used: set[Use]) -> None:
    missing = [f"{use.file}: {use.name}" for use in without_row(used, ROWS)]
    assert not missing, f"add rows to {PAGE}, or use public API: {missing}"


def test_each_row_has_a_use(used: set[Use]) -> None:
    for row in ROWS:
        for file in row.files:
            assert (PACKAGE / file).exists(), file
        for name in row.names:
            # Names that are overridden or read indirectly must at least exist.
            if not any(Row("", (name,), row.files, "").covers(use) for use in used):
                resolve(name)


def test_names_in_the_table_exist() -> None:
    for row in ROWS:
        for name in row.names:
            if "." in name:
                resolve(name.removeprefix("class ").removesuffix(" ="))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.library} {row.files[0]}")
def test_each_row_names_an_existing_test(row: Row) -> None:
    path, _, name = row.test.partition("::")
    assert re.search(rf"^(async )?def {name}\(", Path(path).read_text(), re.MULTILINE), row.test


def test_each_library_has_a_version_bound_that_processes_check() -> None:
    manifest = Path("3rdparty/python/app.txt").read_text()
    bounds = dict(re.findall(r"^([\w-]+)(?:\[\w+\])?<([\d.]+)$", manifest, re.MULTILINE))
    assert TESTED.items() <= bounds.items()
    assert {row.library for row in ROWS} == set(TESTED)


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("from fastapi import _compat\n", "fastapi._compat"),
        ("import celery.app._state\n", "celery.app._state"),
        ("from redis._parsers import base\n", "redis._parsers.base"),
        ("def f(pool):\n    return pool._max_overflow\n", "_max_overflow"),
        ("def f(pool):\n    return getattr(pool, '_max')\n", "_max"),
        ("import redis\nredis.Redis.ping = None\n", "redis.Redis.ping ="),
        ("def f(app):\n    app.router.default = None\n", "default ="),
        ("def f(app, name):\n    setattr(app, name, 1)\n", "setattr"),
        ("def f(call):\n    call(_hidden=1)\n", "_hidden="),
        ("def f(event):\n    return event['_record']\n", "_record"),
        ("import x\nx.hidden = 1  # type: ignore[attr-defined]\n", "x.hidden"),
        ("from prometheus_client import values\n", "prometheus_client.values"),
        ("import importlib\nimportlib.import_module('redis._parsers')\n", "redis._parsers"),
        ("from importlib.util import find_spec\nfind_spec('celery.beat')\n", "celery.beat"),
        (
            "import uvicorn\nclass S(uvicorn.Server):\n    def f(self):\n        self._serve\n",
            "uvicorn.Server._serve",
        ),
    ],
)
def test_new_use_is_detected(tmp_path: Path, source: str, name: str) -> None:
    (tmp_path / "new.py").write_text(source)
    assert Use("new.py", name) in without_row(uses(tmp_path), ROWS)


def test_own_names_are_not_reported(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(
        "class A:\n    def __init__(self) -> None:\n        self._x = 1\n        self.y = 2\n"
        "def _f(a: A) -> int:\n    a.y = 3\n    return a._x\n"
        "from fastapi_base.core import _private\n"
    )
    assert without_row(uses(tmp_path), []) == []
