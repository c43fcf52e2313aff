"""The Python client with a resource: versions, imports and exports."""

import pytest

from fastapi_base_client import operations, problems
from fastapi_base_client.call import Call
from fastapi_base_client.models import ItemRead
from tests.integration.clients.conftest import Caller
from tests.integration.clients.faults import problem

pytestmark = pytest.mark.anyio


async def test_versions_guard_changes(caller: Caller) -> None:
    created = await caller.api.reply(operations.create_item({"title": "Teapot"}))
    item_id = created.value["id"]
    read = await caller.api.reply(operations.read_item(item_id))
    assert read.etag == created.etag != ""
    same = await caller.api.reply(operations.read_item(item_id, if_none_match=read.etag))
    assert same.not_modified
    change = operations.update_item(item_id, {"title": "Kettle"}, if_match=read.etag)
    await caller.api.send(change)
    with pytest.raises(problems.VersionMismatch):
        await caller.api.send(change)


async def test_an_edit_is_done_again_after_another_one(caller: Caller) -> None:
    item = await caller.api.send(operations.create_item({"title": "Teapot"}))
    seen: list[str] = []

    def change(current: ItemRead) -> Call[ItemRead]:
        seen.append(current["title"])
        return operations.update_item(item["id"], {"title": f"{current['title']} and saucer"})

    # Somebody else is faster once.
    caller.network.before = [None, problem(412, "version-mismatch")]
    changed = await caller.api.edit(operations.read_item(item["id"]), change)
    assert changed["title"] == "Teapot and saucer"
    assert seen == ["Teapot", "Teapot"]
    assert "if-match" in caller.network.seen[-1].headers


async def test_a_file_is_imported_and_exported(caller: Caller) -> None:
    rows = b"title,description\r\nTeapot,Short and stout\r\nCup,\r\n"
    job = await caller.api.send(operations.import_items(rows))
    assert job["kind"] == "items-import"
    assert caller.network.seen[-1].headers["content-type"] == "text/csv"
    await caller.api.send(operations.create_item({"title": "Kettle"}))
    async with caller.api.stream(operations.export_items(format="csv")) as response:
        text = "".join([chunk async for chunk in response.aiter_text()])
    assert "Kettle" in text
