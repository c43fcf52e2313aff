"""The queries of alerts and dashboards, and the metrics of the service."""

import importlib
import json
import pkgutil
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

import fastapi_base
from fastapi_base.core.observability import metrics

FOLDER = Path("ops/deploy/grafana")
# Labels that Prometheus itself adds to any metric.
OF_PROMETHEUS = {"job", "instance"}
_WORDS = {"and", "or", "unless", "bool"}


@dataclass(frozen=True)
class Query:
    """An expression, and its location."""

    where: str
    text: str

    def metrics(self) -> dict[str, set[str]]:
        """The metrics in the expression, each with the labels that it selects by."""
        text = re.sub(
            r"\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)", " ", self.text
        )
        found: dict[str, set[str]] = {}
        pattern = r"(?<![\w:\"])([a-zA-Z_][\w:]*)\s*(\{[^}]*\})?(?!\s*\()(?![\w:])"
        for name, selector in re.findall(pattern, re.sub(r"\[[^\]]*\]", "", text)):
            if name not in _WORDS:
                labels = re.findall(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"", selector)
                found.setdefault(name, set()).update(labels)
        return found

    def grouped(self) -> set[str]:
        """The labels that it groups or joins by."""
        lists = re.findall(r"\b(?:by|without|on|ignoring)\s*\(([^)]*)\)", self.text)
        return {label.strip() for text in lists for label in text.split(",") if label.strip()}


def rules() -> list[dict[str, Any]]:
    """All rules: alerts and recording rules."""
    groups = yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def dashboards() -> dict[str, Any]:
    """Each dashboard by its file name."""
    return {path.stem: json.loads(path.read_text()) for path in FOLDER.glob("dashboards/*.json")}


def queries() -> Iterator[Query]:
    """The queries of alerts and panels, with Grafana's variables substituted."""
    for rule in rules():
        yield Query(rule.get("alert") or rule["record"], rule["expr"])
    for name, board in dashboards().items():
        for panel in board["panels"]:
            for target in panel["targets"]:
                text = target["expr"].replace("$__rate_interval", "5m").replace("$instance", ".*")
                yield Query(f"{name}: {panel['title']}", text)


def defined() -> dict[str, set[str]]:
    """Every sample of the metrics that the service's modules define, with its labels.

    Some are exposed only after their first event.
    """
    for module in pkgutil.walk_packages(fastapi_base.__path__, "fastapi_base."):
        if not module.name.endswith("gunicorn_conf") and ".migrations." not in module.name:
            importlib.import_module(module.name)
    made = {
        id(value): value._made
        for name, module in list(sys.modules.items())
        if name.startswith("fastapi_base")
        for value in vars(module).values()
        if isinstance(value, metrics.Metric)
    }
    found: dict[str, set[str]] = {}
    for metric in made.values():
        labels = set(metric._labelnames)
        name, kind = metric._name, type(metric).__name__
        if kind == "Counter":
            found[f"{name}_total"] = labels
        elif kind == "Gauge":
            found[name] = labels
        else:
            found |= {f"{name}_count": labels, f"{name}_sum": labels}
            found[f"{name}_bucket"] = labels | {"le"}
    return found
