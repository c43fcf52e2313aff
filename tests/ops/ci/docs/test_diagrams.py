"""The pictures of docs/architecture.md show the imports of the sources."""

from pathlib import Path

import pytest

from ops.ci.docs.diagrams import PICTURES, CycleError, arrows, draw, imports, layers

GRAPH = {"top": {"middle", "low"}, "middle": {"low"}, "low": set[str](), "alone": set[str]()}


@pytest.mark.parametrize("path", list(PICTURES), ids=str)
def test_pictures_are_up_to_date(path: Path) -> None:
    package, root, title = PICTURES[path]
    now = draw(imports(package, root), title)
    assert path.read_text(encoding="utf-8") == now, "run ./pants run ops/ci/docs/diagrams.py"


def test_every_form_of_import_is_found(tmp_path: Path) -> None:
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


def test_parts_are_drawn_above_their_imports() -> None:
    assert layers(GRAPH) == [["low"], ["middle"], ["top"]]


def test_transitive_arrow_is_omitted() -> None:
    assert arrows(GRAPH) == [("middle", "low"), ("top", "middle")]


def test_table_has_every_import() -> None:
    picture = draw(GRAPH, "a < b")
    for line in ("top imports middle", "top imports low", "middle imports low"):
        assert f"<title>{line}</title>" in picture
    assert "<title>a &lt; b</title>" in picture
    assert picture.count("<circle") == 3


def test_cycle_is_named() -> None:
    with pytest.raises(CycleError, match="one -> two -> one"):
        draw({"one": {"two"}, "two": {"one"}}, "round")
