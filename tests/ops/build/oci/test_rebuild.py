"""What a rebuild takes from provenance that nobody has vouched for."""

from typing import Any

import pytest

from ops.build.oci import provenance
from ops.build.oci.errors import OciError
from ops.build.oci.rebuild import Recipe


def predicate(**given: str) -> dict[str, Any]:
    """The predicate of provenance, with parameters of the build and objects of git."""
    values = {"target": "ops/images:api", "compression": "zstd", "gitCommit": "a" * 40, **given}
    objects = {name: values.pop(name) for name in ("gitCommit", "gitTree") if name in values}
    return {
        "buildDefinition": {
            "externalParameters": values,
            "resolvedDependencies": [{"name": provenance.SOURCE, "digest": objects}],
        }
    }


@pytest.mark.parametrize(
    "given",
    [
        {"target": "--pants-config-files=/tmp/evil.toml"},
        {"target": "ops/images:api --plugins=[x]"},
        {"target": "-l"},
        {"gitCommit": "--upload-pack=x"},
        {"gitTree": "HEAD"},
        {"compression": "--x"},
    ],
)
def test_options_of_programs_are_refused(given: dict[str, str]) -> None:
    with pytest.raises(OciError, match="the provenance names an impossible"):
        Recipe.read(predicate(**given))


@pytest.mark.parametrize("target", ["//:api", "ops/images:api", "ops/images:redis#arm64", "ops"])
def test_targets_are_accepted(target: str) -> None:
    assert Recipe.read(predicate(target=target)).target == target
