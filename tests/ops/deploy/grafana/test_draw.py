"""Pictures of the dashboards: rendering of series, and completeness."""

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from ops.deploy.grafana.draw import EMPTY
from ops.deploy.grafana.picture import Panel, draw
from tests.ops.deploy.grafana.queries import dashboards

PICTURES = Path("docs/pictures")
PLACE = {"x": 0, "y": 0, "w": 12, "h": 8}


def texts(picture: str) -> list[str]:
    """Every text in it. Raises ParseError for invalid XML."""
    root = ElementTree.fromstring(picture)
    return [text.text or "" for text in root.iter("{http://www.w3.org/2000/svg}text")]


@pytest.mark.parametrize("name", dashboards())
def test_each_panel_is_in_the_picture_with_data(name: str) -> None:
    picture = (PICTURES / f"dashboard-{name}.svg").read_text()
    shown = texts(picture)
    for panel in dashboards()[name]["panels"]:
        assert panel["title"] in shown, f"draw it again: python -m ops.deploy.grafana.draw: {panel}"
        assert (name, panel["title"]) not in EMPTY or EMPTY[name, panel["title"]] in shown
    groups = ["<g " + group.partition("</g>")[0] + "</g>" for group in picture.split("<g ")[1:]]
    assert len(groups) == len(dashboards()[name]["panels"])
    for group in groups:
        said = [text.text for text in ElementTree.fromstring(group).iter("text")]
        assert len([text for text in said if text]) > 1, said


def test_lines_end_where_data_is_missing() -> None:
    points = [(0.0, 0.0), (2.0, 10.0), (10.0, 5.0), (12.0, 5.0)]
    picture = draw("a <board>", [Panel("p", "s", "timeseries", PLACE, {"one": points})], 12, 2)
    (way,) = re.findall(r'<path d="(M[^"]+)" fill="none" stroke="#4c78a8"', picture)
    assert [way.count("M"), way.count("L")] == [2, 2]
    # The axis ends at the next round number, with its unit.
    assert {"10 s", "5 s", "0 s", "one", "a <board>"} <= set(texts(picture))


def test_panel_without_data_shows_the_reason() -> None:
    panel = Panel("p", "s", "timeseries", PLACE, {}, empty="nobody did that")
    assert "nobody did that" in texts(draw("board", [panel], 12, 2))


def test_number_shows_the_last_value() -> None:
    panel = Panel("p", "percentunit", "stat", PLACE, {"": [(0.0, 1.0), (2.0, 0.125)]})
    assert "12.5 %" in texts(draw("board", [panel], 2, 2))
