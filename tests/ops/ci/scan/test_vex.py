import json
from pathlib import Path

import pytest

from ops.ci.scan import vex
from tests.ops.build.oci import signed

WAIVERS = """
[[waiver]]
name = "advisories/one/PYSEC-1"
reason = "templates are ours alone"
expires = 2999-01-01
justification = "vulnerable_code_cannot_be_controlled_by_adversary"

[[waiver]]
name = "advisories/one/PYSEC-2"
reason = "waived without a justification"
expires = 2999-01-01

[[waiver]]
name = "advisories/one/PYSEC-3"
reason = "it was valid once"
expires = 2020-01-01
justification = "component_not_present"

[[waiver]]
name = "advisories/other/PYSEC-4"
reason = "not in this image"
expires = 2999-01-01
justification = "component_not_present"
"""


@pytest.fixture
def arguments(tmp_path: Path) -> list[str]:
    image = signed.image(tmp_path / "image")
    (tmp_path / "waivers.toml").write_text(WAIVERS)
    paths = [str(image.file), str(tmp_path / "vex.json")]
    return [*paths, "--author", "Team", "--waivers", str(tmp_path / "waivers.toml")]


def test_justified_waivers_of_packages_in_the_image_are_stated(
    tmp_path: Path, arguments: list[str]
) -> None:
    assert vex.main(arguments) == 0
    document = json.loads((tmp_path / "vex.json").read_text())
    assert (document["@context"], document["author"]) == (vex.CONTEXT, "Team")
    (statement,) = document["statements"]
    assert statement["vulnerability"] == {"name": "PYSEC-1"}
    assert statement["status"] == "not_affected"
    assert statement["impact_statement"] == "templates are ours alone"
    (product,) = statement["products"]
    assert product["@id"].startswith("pkg:oci/it@sha256")
    (part,) = product["subcomponents"]
    assert part["@id"].startswith("pkg:deb/debian/one@1.0-1?")


def test_nothing_to_state_writes_no_document(
    tmp_path: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "waivers.toml").write_text("")
    assert vex.main(arguments) == 0
    assert "nothing to state" in capsys.readouterr().out
    assert not (tmp_path / "vex.json").exists()


def test_image_without_a_bill_of_materials_is_refused(
    tmp_path: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "image/it.cdx.json").unlink()
    assert vex.main(arguments) == 2
    assert "has no SBOM that says which packages are in it" in capsys.readouterr().err


def test_unknown_justification_is_refused(
    tmp_path: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    text = WAIVERS.replace("component_not_present", "because")
    (tmp_path / "waivers.toml").write_text(text)
    assert vex.main(arguments) == 2
    assert "justification must be one of component_not_present" in capsys.readouterr().err
