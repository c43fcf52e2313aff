"""Alerts and dashboards are valid, tested by promtool, and each alert has a runbook."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from ops.dev import packages
from tests.ops.deploy.grafana.queries import FOLDER, Query, dashboards, queries, rules

RUNBOOKS = Path("docs/runbooks.md")


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    program = packages.command(packages.root("prometheus", "Prometheus"), "usr/bin/promtool")
    command = [*program, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_prometheus_accepts_the_configuration() -> None:
    done = promtool("check", "config", "--lint=all", "--lint-fatal", str(FOLDER / "prometheus.yml"))
    assert done.returncode == 0, done.stdout + done.stderr


def test_alerts_fire_exactly_when_they_should() -> None:
    done = promtool("test", "rules", str(FOLDER / "alerts.test.yml"))
    assert done.returncode == 0, done.stdout + done.stderr


def test_invalid_rule_is_reported(tmp_path: Path) -> None:
    text = (FOLDER / "alerts.yml").read_text()
    (tmp_path / "alerts.test.yml").write_text((FOLDER / "alerts.test.yml").read_text())
    limit = '(jobs_unfinished{state="due"}) > 1000'
    assert limit in text
    (tmp_path / "alerts.yml").write_text(text.replace(limit, limit.replace("1000", "9000")))
    assert promtool("test", "rules", str(tmp_path / "alerts.test.yml")).returncode == 1
    (tmp_path / "alerts.yml").write_text(
        text.replace("histogram_quantile(0.99,", "histogram(0.99,")
    )
    assert promtool("check", "rules", str(tmp_path / "alerts.yml")).returncode == 1


def test_every_alert_is_tested(tmp_path: Path) -> None:
    cases = yaml.safe_load((FOLDER / "alerts.test.yml").read_text())["tests"]
    silent = {test["alertname"] for test in cases[0]["alert_rule_test"]}
    alerts = {rule["alert"] for rule in rules() if "alert" in rule}
    assert silent == alerts
    counted = [test["exp_samples"][0]["value"] for test in cases[1]["promql_expr_test"][1:]]
    assert counted == [len(alerts)] * 2


def test_dashboard_queries_are_valid(tmp_path: Path) -> None:
    recorded = [
        {"record": f"query:{number}", "expr": query.text} for number, query in enumerate(queries())
    ]
    assert len(recorded) > 40
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "all", "rules": recorded}]}))
    done = promtool("check", "rules", str(file))
    assert done.returncode == 0, done.stdout + done.stderr


def test_dashboards_have_the_required_fields() -> None:
    boards = dashboards()
    assert set(boards) == {"api", "jobs"}
    assert len({board["uid"] for board in boards.values()}) == len(boards)
    for board in boards.values():
        numbers = [panel["id"] for panel in board["panels"]]
        assert len(set(numbers)) == len(numbers)
        cells: set[tuple[int, int]] = set()
        for panel in board["panels"]:
            place = panel["gridPos"]
            taken = {
                (x, y)
                for x in range(place["x"], place["x"] + place["w"])
                for y in range(place["y"], place["y"] + place["h"])
            }
            assert not taken & cells, panel["title"]
            assert max(x for x, _ in taken) < 24
            cells |= taken
            assert panel["datasource"]["uid"] == "${source}"
            letters = [target["refId"] for target in panel["targets"]]
            assert len(set(letters)) == len(letters) > 0


def anchors() -> set[str]:
    """The anchors of the runbooks' headings, as the site generates them."""
    return {
        re.sub(r"[^\w-]+", "-", title.strip().lower()).strip("-")
        for title in re.findall(r"^#+ (.+)$", RUNBOOKS.read_text(), re.MULTILINE)
    }


@pytest.mark.parametrize(
    "rule", [rule for rule in rules() if "alert" in rule], ids=lambda rule: rule["alert"]
)
def test_every_alert_has_a_runbook(rule: dict[str, dict[str, str]]) -> None:
    page, _, anchor = rule["annotations"]["runbook_url"].partition("#")
    assert page.endswith("/runbooks.html")
    assert anchor in anchors()
    assert rule["labels"]["severity"] in {"page", "ticket"}
    assert rule["annotations"]["summary"]


def test_every_runbook_has_its_alert() -> None:
    written = set(re.findall(r"^## (\w+)$", RUNBOOKS.read_text(), re.MULTILINE))
    assert written == {rule["alert"] for rule in rules() if "alert" in rule}


def test_names_in_queries_are_found() -> None:
    query = Query(
        "here",
        'sum by (a, b) (rate(x_total{job="j", c=~"d.*"}[5m])) / on (a) (y or vector(0)) > job:z:r5',
    )
    assert query.metrics() == {"x_total": {"job", "c"}, "y": set(), "job:z:r5": set()}
    assert query.grouped() == {"a", "b"}
