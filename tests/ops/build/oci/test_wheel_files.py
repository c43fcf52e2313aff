import pytest

from ops.build.oci import wheel_files
from ops.build.oci.components import Component

LIST = f"""\
{"1" * 64}  one-1.0-cp313-cp313-manylinux2014_x86_64.manylinux_2_17_x86_64.whl
{"2" * 64}  one-1.0-cp313-cp313-manylinux2014_aarch64.manylinux_2_17_aarch64.whl
{"3" * 64}  one-1.0-cp39-abi3-manylinux2014_x86_64.whl
{"4" * 64}  some_name-2.0-py2.py3-none-any.whl
{"5" * 64}  no wheel
"""


@pytest.mark.parametrize(
    ("name", "version", "tags", "found"),
    [
        ("one", "1.0", ["cp313-cp313-manylinux2014_x86_64"], "1"),
        (
            "one",
            "1.0",
            ["cp313-cp313-manylinux2014_aarch64", "cp313-cp313-manylinux_2_17_aarch64"],
            "2",
        ),
        ("one", "1.0", ["cp39-abi3-manylinux2014_x86_64"], "3"),
        ("some-name", "2.0", ["py2-none-any", "py3-none-any"], "4"),
        ("one", "2.0", ["cp39-abi3-manylinux2014_x86_64"], ""),
        ("one", "1.0", ["cp39-abi3-manylinux2014_x86_64", "cp313-cp313-manylinux2014_x86_64"], ""),
        ("one", "1.0", [], ""),
    ],
)
def test_tags_determine_the_file(name: str, version: str, tags: list[str], found: str) -> None:
    component = Component("pypi", name, version, tags=tuple(sorted(tags)))
    assert wheel_files.sha256(component, wheel_files.read(LIST)) == found * 64
