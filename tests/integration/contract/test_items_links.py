"""Items conform to the description when their operations follow the links in responses."""

import re
from pathlib import Path

import pytest

from tests.integration.contract.fuzzing import Api, schemathesis


@pytest.mark.anyio
async def test_linked_operations_conform_to_the_description(api: Api, tmp_path: Path) -> None:
    """Create objects, then read, change and delete them, in random orders."""
    effort = ("--phases", "stateful", "--max-examples", "40", "--include-tag", "items")
    # Deleted objects stay deleted, as Schemathesis expects.
    report = schemathesis(api, tmp_path, *effort, "--exclude-operation-id", "restore_item")
    assert re.search(r"API Links: +[1-9]", report), report[-5_000:]
