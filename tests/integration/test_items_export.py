"""Slow and vanished readers of an export of items do not affect others."""

import asyncio
from contextlib import ExitStack

import asyncpg
import httpx2

from tests.integration import hostile
from tests.integration.hostile import HOST, V1, Server, bearer, status
from tests.integration.waiting import until

server = hostile.server
# More than all buffers between two processes hold.
ROWS, LETTERS = 8_000, 2_000


async def fill(database: str, mail: str) -> None:
    """Give the account many items."""
    connection = await asyncpg.connect(database.replace("+asyncpg", ""))
    await connection.execute(
        "INSERT INTO items (id, owner_id, title, description) SELECT gen_random_uuid(),"
        " (SELECT id FROM users WHERE email = $1), 'item ' || n, repeat('x', $3::int)"
        " FROM generate_series(1, $2::int) n",
        *(mail, ROWS, LETTERS),
    )
    await connection.close()


def test_slow_readers_of_exports_do_not_affect_others(server: Server) -> None:
    mail, mine = server.account()
    asyncio.run(fill(server.database, mail))
    _, other = server.account()
    ask = f"GET {V1}/items/export?format=ndjson HTTP/1.1\r\n{HOST}{bearer(mine)}\r\n\r\n"
    with ExitStack() as stack:
        readers = [stack.enter_context(server.peer(buffer=4096)).send(ask) for _ in range(20)]
        heads = [reader.head() for reader in readers]
        assert sorted(status(head) for head in heads) == [200] + [429] * 19
        with server.client(**other) as client:
            for _ in range(10):
                assert client.get(f"{V1}/items").status_code == 200
            assert client.get("/health/ready").status_code == 200
        # A client that reads nothing is eventually disconnected, which is not logged as an error.
        server.logged(event="client disconnected", path=f"{V1}/items/export")
    with server.client(**mine) as client:
        whole = client.get(f"{V1}/items/export", params={"format": "ndjson"})
        assert (whole.status_code, whole.text.count("\n")) == (200, ROWS)
        # A client that disconnects frees its slot at once.
        for _ in range(3):
            with client.stream("GET", f"{V1}/items/export") as reply:
                assert reply.status_code == 200
            wait_for_slot(client)


def wait_for_slot(client: httpx2.Client) -> None:
    """Wait until the account may read an export again."""

    async def free() -> bool | None:
        with client.stream("GET", f"{V1}/items/export") as reply:
            return reply.status_code == 200 or None

    asyncio.run(until(free, "room for an export"))
