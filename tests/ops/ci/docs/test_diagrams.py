"""The pictures of docs/architecture.md show the imports that the sources have."""

from pathlib import Path

import pytest

from ops.docs.diagrams import PICTURES, CycleError, arrows, draw, floors, imports

GRAPH = {"top": {"middle", "low"}, "middle": {"low"}, "low": set[str](), "alone": set[str]()}


@pytest.mark.parametrize("path", list(PICTURES), ids=str)
def test_pictures_are_up_to_date(path: Path) -> None:
    package, root, title = PICTURES[path]
    now = draw(imports(package, root), title)
    assert path.read_text(encoding="utf-8") == now, "run ./pants run ops/docs/diagrams.py"


def test_every_form_of_import_counts(tmp_path: Path) -> None:
    for name, text in {
        "shop/__init__.py": "",
        "shop/main.py": "import shop.api.routes\nfrom shop import core\nimport os\n",
        "shop/api/routes.py": "def f():\n    from shop.models.item import Item\n    return Item\n",
        "shop/models/item.py": "from shop.models import base\nfrom shop.core.ids import new\n",
        "shop/core/ids.py": "import uuid\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert imports("shop", tmp_path) == {
        "main": {"api", "core"},
        "api": {"models"},
        "models": {"core"},
        "core": set(),
    }


def test_parts_stand_above_what_they_import() -> None:
    assert floors(GRAPH) == [["low"], ["middle"], ["top"]]


def test_an_arrow_that_follows_is_left_out() -> None:
    assert arrows(GRAPH) == [("middle", "low"), ("top", "middle")]


def test_the_table_has_every_import() -> None:
    picture = draw(GRAPH, "a < b")
    for line in ("top imports middle", "top imports low", "middle imports low"):
        assert f"<title>{line}</title>" in picture
    assert "<title>a &lt; b</title>" in picture
    assert picture.count("<circle") == 3


def test_a_cycle_is_named() -> None:
    with pytest.raises(CycleError, match="one -> two -> one"):
        draw({"one": {"two"}, "two": {"one"}}, "round")
