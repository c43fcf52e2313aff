"""The table of metrics in docs/observability.md lists each metric, with its type and help text."""

import ast
import re
from dataclasses import dataclass
from pathlib import Path

PAGE = Path("docs/observability.md")
PACKAGE = Path("src/fastapi_base")
#: Functions and classes that define a metric by its name and help text, and the type they create.
DEFINITIONS = {
    "counter": "counter",
    "gauge": "gauge",
    "histogram": "histogram",
    "CounterMetricFamily": "counter",
    "GaugeMetricFamily": "gauge",
}
ROW = re.compile(r"^\| `(\w+)` \| (counter|gauge|histogram) \|[^|]*\| (.+) \|$", re.MULTILINE)


@dataclass(frozen=True)
class Metric:
    name: str
    kind: str
    help: str


def defined(package: Path) -> list[Metric]:
    """The metrics that the sources define."""
    calls = [
        node
        for path in sorted(package.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
    ]
    found = []
    for call in calls:
        function = call.func.attr if isinstance(call.func, ast.Attribute) else None
        function = call.func.id if isinstance(call.func, ast.Name) else function
        match call.args:
            case [ast.Constant(str(name)), ast.Constant(str(text)), *_] if function in DEFINITIONS:
                kind = DEFINITIONS[function]
                found.append(Metric(name + "_total" * (kind == "counter"), kind, text))
    return found


def differences(metrics: list[Metric], page: str) -> list[str]:
    """How the table differs: the description of a metric must begin with its help text."""
    rows = {name: (kind, text) for name, kind, text in ROW.findall(page)}
    names = {metric.name for metric in metrics}
    found = [f"{name}: no such metric" for name in rows if name not in names]
    for metric in metrics:
        kind, text = rows.get(metric.name, ("", ""))
        begins = re.match(re.escape(metric.help) + r"($|[.,:;]| \()", text, re.IGNORECASE)
        if kind != metric.kind or not begins:
            found.append(f"{metric.name}: {metric.kind}, {metric.help!r}; the page says {text!r}")
    return found


def test_table_describes_each_metric_with_its_help_text() -> None:
    metrics = defined(PACKAGE)
    assert len(metrics) > 20
    assert not differences(metrics, PAGE.read_text(encoding="utf-8"))


def test_differences_are_reported() -> None:
    metric = Metric("tasks_running", "gauge", "Tasks running now")
    for row, differs in {
        "| `tasks_running` | gauge | | tasks running now |": False,
        "| `tasks_running` | gauge | | tasks running now: in all pools |": False,
        "| `tasks_running` | gauge | | tasks running nowhere |": True,
        "| `tasks_running` | counter | | tasks running now |": True,
        "| `tasks_gone` | gauge | | tasks running now |": True,
    }.items():
        assert bool(differences([metric], row)) == differs, row
