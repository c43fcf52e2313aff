"""Wrong manifests are reported with the file, the key and what is right."""

from pathlib import Path

import pytest

from ops.template.slices.manifest import FOLDER, SliceError, load

RIGHT = 'title = "T"\ndescription = "D."\nstandard = true\nfiles = ["src/**"]\n'


def read(root: Path, text: str, name: str = "items") -> None:
    (root / FOLDER).mkdir(parents=True)
    (root / FOLDER / f"{name}.toml").write_text(text)
    load(root)


def test_complete_manifest_is_read(tmp_path: Path) -> None:
    read(tmp_path, f'{RIGHT}needs = ["a"]\n[sections]\n"docs/x.md" = ["X"]\n')
    one = load(tmp_path)["items"]
    assert (one.title, one.files, one.needs) == ("T", ("src/**",), ("a",))
    assert one.sections == {"docs/x.md": ("X",)}
    assert one.settings == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("title =", "is not TOML"),
        (RIGHT + "file = []\n", "unknown key 'file'; known are: description, files, "),
        (RIGHT.replace('"T"', "3"), "title: must be a text in quotes"),
        (RIGHT.replace("true", '"yes"'), "standard: must be true or false"),
        (RIGHT + 'needs = "a"\n', r'needs: must be a list of texts, such as \["a", "b"\]'),
        (RIGHT + 'sections = ["a"]\n', "sections: must be a table of pages"),
        (RIGHT + '[sections]\n"a.md" = "A"\n', "sections: a.md: must be a list of texts"),
    ],
)
def test_wrong_manifest_is_reported(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SliceError, match=rf"^ops/template/slices/manifests/items.toml: {message}"):
        read(tmp_path, text)


def test_name_of_a_manifest_is_checked(tmp_path: Path) -> None:
    with pytest.raises(SliceError, match="must be named with lower-case words"):
        read(tmp_path, RIGHT, "My Items")
