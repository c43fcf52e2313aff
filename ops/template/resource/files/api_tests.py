"""The integration tests of the routes of a resource."""

from string import Template

from ops.template.resource.files.naming import lines, names
from ops.template.resource.specification import Field, Resource

_API = Template('''"""$All over HTTP."""

import uuid

import httpx2
import pytest
from sqlalchemy import text

from tests.integration.accounts import authorization, new_user
from tests.integration.databases import RolledBackDatabase
$makers
from tests.integration.${many}_rows import PATH, ${one}_body, new_$one
from tests.integration.queries import counted

pytestmark = pytest.mark.anyio


@pytest.fixture
async def ada(client: httpx2.AsyncClient) -> httpx2.AsyncClient:
    """A client that is logged in."""
    client.headers |= await new_user(client, "ada@example.com")
    return client


async def listed(client: httpx2.AsyncClient, **params: str) -> list[str]:
    reply = await client.get(PATH, params=params)
    assert reply.status_code == 200, reply.text
    return [found["id"] for found in reply.json()["items"]]


async def test_created_${one}_can_be_read(ada: httpx2.AsyncClient) -> None:
    body = await ${one}_body(ada)
    reply = await ada.post(PATH, json=body)
    made = reply.json()
    assert reply.status_code == 201, reply.text
    assert made["version"] == 1
    assert {name: made[name] for name in body} == body
    assert reply.headers["location"] == f"{PATH}/{made['id']}"
    read = await ada.get(reply.headers["location"])
    assert read.json() == made
    assert read.headers["etag"] == reply.headers["etag"] == '"1"'


async def test_invalid_${one}_is_refused(ada: httpx2.AsyncClient) -> None:
    body = await ${one}_body(ada)
    for wrong in ({}, {**body, "$first": $wrong}, {**body, "owner_id": str(uuid.uuid4())}):
        assert (await ada.post(PATH, json=wrong)).status_code == 422
    assert await listed(ada) == []


async def test_repeated_idempotency_key_creates_one_$one(ada: httpx2.AsyncClient) -> None:
    alone, one_of_many = await ${one}_body(ada), await ${one}_body(ada)
    for path, body in ((PATH, alone), (f"{PATH}/bulk", {"items": [one_of_many]})):
        headers = {"Idempotency-Key": f"key-{path}"}
        first, second = [await ada.post(path, json=body, headers=headers) for _ in range(2)]
        assert first.json() == second.json()
    assert len(await listed(ada)) == 2


async def test_current_etag_gets_304(ada: httpx2.AsyncClient) -> None:
    url = f"{PATH}/{(await new_$one(ada))['id']}"
    reply = await ada.get(url, headers={"If-None-Match": '"1"'})
    assert (reply.status_code, reply.content) == (304, b"")
    assert (await ada.get(url, headers={"If-None-Match": '"2"'})).status_code == 200


async def test_patch_keeps_absent_members(ada: httpx2.AsyncClient) -> None:
    made = await new_$one(ada)
    url = f"{PATH}/{made['id']}"
    changed = await ada.patch(url, json={"$first": $other}, headers={"If-Match": "*"})
    assert changed.status_code == 200, changed.text
    assert changed.headers["etag"] == '"2"'
    moved = {"$first": $other, "version": 2, "updated_at": changed.json()["updated_at"]}
    assert changed.json() == {**made, **moved}
    assert (await ada.get(url)).json() == changed.json()
    for body in ({}, {"$first": $wrong}, {"version": 7}):
        assert (await ada.patch(url, json=body, headers={"If-Match": "*"})).status_code == 422
$cleared

async def test_second_change_of_the_same_version_is_refused(ada: httpx2.AsyncClient) -> None:
    url = f"{PATH}/{(await new_$one(ada))['id']}"
    body = {"$first": $other}
    for reply in (await ada.patch(url, json=body), await ada.delete(url)):
        assert reply.status_code == 428
    based = {"If-Match": '"1"'}
    assert (await ada.patch(url, json=body, headers=based)).status_code == 200
    for reply in (
        await ada.patch(url, json=body, headers=based),
        await ada.delete(url, headers=based),
    ):
        assert reply.status_code == 412
    assert (await ada.get(url)).json()["version"] == 2
    assert (await ada.delete(url, headers={"If-Match": '"2"'})).status_code == 204


async def test_deleted_${one}_is_gone(ada: httpx2.AsyncClient) -> None:
    url = f"{PATH}/{(await new_$one(ada))['id']}"
    assert (await ada.delete(url, headers={"If-Match": "*"})).status_code == 204
    assert await listed(ada) == []
    assert (await ada.get(url)).status_code == 404
    assert (await ada.delete(url, headers={"If-Match": "*"})).status_code == 404


async def test_${many}_of_other_accounts_are_not_found(ada: httpx2.AsyncClient) -> None:
    url = f"{PATH}/{(await new_$one(ada))['id']}"
    ada.headers |= await new_user(ada, "eve@example.com")
    for reply in (
        await ada.get(url),
        await ada.patch(url, json={"$first": $other}, headers={"If-Match": "*"}),
        await ada.delete(url, headers={"If-Match": '"1"'}),
    ):
        assert reply.status_code == 404
    assert await listed(ada) == []


${keys}async def test_lists_are_sorted_filtered_and_paged(ada: httpx2.AsyncClient) -> None:
    made = [(await new_$one(ada))["id"] for _ in range(3)]
    with counted() as statements:
        assert await listed(ada) == made[::-1]
    # The session, and the page.
    assert len(statements) == 2, statements
    assert await listed(ada, sort="created_at") == made
    assert await listed(ada, created_before="2000-01-01T00:00:00Z") == []
    assert len(await listed(ada, created_from="2000-01-01T00:00:00Z")) == 3
    first = await ada.get(PATH, params={"limit": "2", "total": "true"})
    assert (first.json()["total"], first.json()["total_is_exact"]) == (3, True)
    second = await ada.get(first.links["next"]["url"])
    assert [found["id"] for found in second.json()["items"]] == made[:1]
    for params in ({"sort": "owner_id"}, {"created_from": "yesterday"}):
        assert (await ada.get(PATH, params=params)).status_code == 422
$filtered

async def test_batch_creates_all_in_order_or_none(ada: httpx2.AsyncClient) -> None:
    bodies = [await ${one}_body(ada) for _ in range(3)]
    wrong = {**bodies[0], "$first": $wrong}
    reply = await ada.post(f"{PATH}/bulk", json={"items": [*bodies, wrong]})
    assert reply.status_code == 422
    assert await listed(ada) == []
    reply = await ada.post(f"{PATH}/bulk", json={"items": bodies})
    assert reply.status_code == 201, reply.text
    read = [(await ada.get(f"{PATH}/{one}")).json() for one in reply.json()["ids"]]
    assert [{name: made[name] for name in bodies[0]} for made in read] == bodies
$unique$refs

async def test_${many}_are_removed_with_their_account(
    ada: httpx2.AsyncClient, database: RolledBackDatabase
) -> None:
    await new_$one(ada)
    async with database.transaction() as session:
        connection = await session.connection()
        await connection.execute(text("DELETE FROM users"))
        assert await connection.scalar(text("SELECT count(*) FROM $many")) == 0
''')

_KEYS = Template("""
async def test_api_key_is_limited_to_its_scopes(ada: httpx2.AsyncClient) -> None:
    made, body = await new_$one(ada), await ${one}_body(ada)
    key = {"name": "reader", "scopes": ["$path:read"]}
    reader = authorization((await ada.post("/api/v1/api-keys", json=key)).json()["key"])
    url = f"{PATH}/{made['id']}"
    for path in (PATH, url):
        assert (await ada.get(path, headers=reader)).status_code == 200, path
    for reply in (
        await ada.post(PATH, json=body, headers=reader),
        await ada.post(f"{PATH}/bulk", json={"items": [body]}, headers=reader),
        await ada.patch(url, json={"$first": $other}, headers=reader | {"If-Match": "*"}),
        await ada.delete(url, headers=reader | {"If-Match": "*"}),
    ):
        assert reply.status_code == 403
    assert await listed(ada) == [made["id"]]


""")

_CLEARED = Template("""

async def test_null_clears_a_member(ada: httpx2.AsyncClient) -> None:
    made = await new_$one(ada)
    url = f"{PATH}/{made['id']}"
    assert made["$name"] is not None
    cleared = await ada.patch(url, json={"$name": None}, headers={"If-Match": "*"})
    assert (cleared.status_code, cleared.json()["$name"]) == (200, None)
    body = await ${one}_body(ada)
    del body["$name"]
    assert (await ada.post(PATH, json=body)).json()["$name"] is None
""")

_FILTERED = Template("""

async def test_list_is_filtered_by_${name}(ada: httpx2.AsyncClient) -> None:
    $prepare
    assert await listed(ada, $name=$value) == [one]
    assert await listed(ada, $name=$another) == [other]
    assert (await ada.get(PATH, params={"$name": "-"})).status_code == 422
""")

_UNIQUE = Template("""

async def test_${name}_is_unique_for_each_account(ada: httpx2.AsyncClient) -> None:
    made, other = await new_$one(ada), await new_$one(ada)
    same = {"$name": made["$name"]}
    for reply in (
        await ada.post(PATH, json=await ${one}_body(ada, **same)),
        await ada.post(f"{PATH}/bulk", json={"items": [await ${one}_body(ada, **same)]}),
        await ada.patch(f"{PATH}/{other['id']}", json=same, headers={"If-Match": "*"}),
    ):
        assert reply.status_code == 409
        assert reply.json()["detail"] == "Another $words has this $field"
    assert len(await listed(ada)) == 2
$others""")

_OTHERS = Template("""    ada.headers |= await new_user(ada, "eve@example.com")
    await new_$one(ada, **same)
""")

_REF = Template("""

async def test_${name}_is_of_the_same_account(ada: httpx2.AsyncClient) -> None:
    made, mine = await new_$one(ada), await new_$target(ada)
    ada.headers |= await new_user(ada, "eve@example.com")
    url = f"{PATH}/{(await new_$one(ada))['id']}"
    for wrong in (mine["id"], made["$name"], str(uuid.uuid4())):
        body = await ${one}_body(ada, $name=wrong)
        for reply in (
            await ada.post(PATH, json=body),
            await ada.post(f"{PATH}/bulk", json={"items": [body]}),
            await ada.patch(url, json={"$name": wrong}, headers={"If-Match": "*"}),
        ):
            assert reply.status_code == 409
            assert reply.json()["detail"] == "The $field does not exist or is in use"


async def test_what_${name}_refers_to_cannot_be_removed(ada: httpx2.AsyncClient) -> None:
    made = await new_$one(ada)
    url = f"/api/v1/$place/{made['$name']}"
    reply = await ada.delete(url, headers={"If-Match": "*"})
    assert reply.status_code == 409
    await ada.delete(f"{PATH}/{made['id']}", headers={"If-Match": "*"})
    assert (await ada.delete(url, headers={"If-Match": "*"})).status_code == 204
""")


def _filtered(field: Field, given: dict[str, str]) -> str:
    one, name = given["one"], field.name
    if field.target:
        prepare = [f"made = [await new_{one}(ada) for _ in range(2)]"]
        prepare.append('one, other = [found["id"] for found in made]')
        value, another = f'made[0]["{name}"]', f'made[1]["{name}"]'
    else:
        kind = field.kind
        prepare = [f'one = (await new_{one}(ada, {name}={kind.example}))["id"]']
        prepare.append(f'other = (await new_{one}(ada, {name}={kind.other}))["id"]')
        value, another = (
            f'"{value.lower()}"' if value in ("True", "False") else value
            for value in (kind.example, kind.other)
        )
    return _FILTERED.substitute(
        given, name=name, prepare=lines(prepare, 4), value=value, another=another
    )


def _unique(field: Field, given: dict[str, str]) -> str:
    # Another account has other objects to refer to.
    others = "" if field.target else _OTHERS.substitute(given)
    return _UNIQUE.substitute(given, name=field.name, field=field.words, others=others)


def _ref(field: Field, given: dict[str, str]) -> str:
    assert field.target
    return _REF.substitute(
        given,
        name=field.name,
        field=field.target.words,
        target=field.target.singular,
        place=field.target.path,
    )


def render(resource: Resource, package: str, *, keys: bool) -> str:
    """The integration tests of the routes; `keys` says whether the service has API keys."""
    given = names(resource, package)
    first = resource.first
    optional = next((field for field in resource.fields if field.optional), None)
    makers = {
        f"from tests.integration.{field.target.plural}_rows import new_{field.target.singular}"
        for field in resource.refs
        if field.target
    }
    return _API.substitute(
        given,
        makers="\n".join(sorted(makers)),
        first=first.name,
        wrong=first.kind.wrong[0],
        other=first.kind.other,
        keys=_KEYS.substitute(given, first=first.name, other=first.kind.other) if keys else "",
        cleared=_CLEARED.substitute(given, name=optional.name) if optional else "",
        filtered="".join(_filtered(field, given) for field in resource.filters),
        unique="".join(_unique(field, given) for field in resource.fields if field.unique),
        refs="".join(_ref(field, given) for field in resource.refs),
    )
