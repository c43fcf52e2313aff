"""A process reports library versions that the tests have not covered."""

from importlib.metadata import version

import pytest

from fastapi_base.core.runtime.libraries import TESTED, untested


def test_the_locked_versions_are_tested() -> None:
    assert [*untested()] == []
    for name in TESTED:
        assert version(name)


@pytest.mark.parametrize("bound", ["0", "5.7", "5.7.0"])
def test_untested_version_is_reported(bound: str) -> None:
    found = version("celery")
    assert [*untested({"celery": bound, "no-such-library": "1"})] == [
        f"celery {found} is installed; tested are versions before {bound}"
    ]
