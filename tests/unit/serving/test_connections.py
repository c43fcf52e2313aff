"""Which connection is closed when there are too many."""

import asyncio
from dataclasses import dataclass, field

import pytest

from fastapi_base.serving.connections import MOST_REFUSED, Connections

pytestmark = pytest.mark.anyio


@dataclass(eq=False)
class End:
    """A fake connection."""

    peer: str | None = "192.0.2.1"
    still: bool = False
    gave_way: bool = False
    was_cut: asyncio.Event = field(default_factory=asyncio.Event)

    def stands_still(self, now: float, seconds: float) -> bool:
        return self.still

    def give_way(self) -> None:
        self.gave_way = True

    def cut(self) -> None:
        self.was_cut.set()


def bounds(most: int = 3, of_peer: int = 3, write_timeout: float = 30) -> Connections:
    return Connections(most, of_peer, ("127.0.0.1",), write_timeout)


async def test_longest_idle_connection_is_closed() -> None:
    loop, all_ = asyncio.get_running_loop(), bounds(of_peer=99)
    first, second, _, fourth, fifth = ends = [End() for _ in range(5)]
    for end in ends[:3]:
        assert all_.add(end, loop)
    # A connection with a request in progress stays, and is the most recent once it is answered.
    all_.busy(first)
    assert all_.add(fourth, loop)
    all_.remove(second)
    all_.idle(first)
    assert all_.add(fifth, loop)
    assert [end.gave_way for end in ends] == [False, True, True, False, False]


async def test_new_connection_is_refused_while_all_are_busy() -> None:
    loop, all_ = asyncio.get_running_loop(), bounds(most=1)
    first = End()
    assert all_.add(first, loop)
    all_.busy(first)
    assert not all_.add(End(), loop)
    assert not first.gave_way


async def test_peers_are_limited_by_network_and_proxies_are_exempt() -> None:
    loop, all_ = asyncio.get_running_loop(), bounds(most=99, of_peer=2)
    ours = [End(f"2001:db8::{n}") for n in range(3)]
    assert [all_.add(end, loop) for end in ours] == [True, True, False]
    assert all_.add(End("2001:db8:0:1::1"), loop)
    assert all(all_.add(End(peer), loop) for peer in ("127.0.0.1", None) for _ in range(5))
    for end in ours:
        all_.remove(end)
    assert all_.add(End("2001:db8::9"), loop)


async def test_refused_peers_do_not_displace_others() -> None:
    loop, all_ = asyncio.get_running_loop(), bounds(most=3, of_peer=1)
    others = [End(f"198.51.100.{n}") for n in range(2)]
    hostile = [End() for _ in range(200)]
    assert all(all_.add(end, loop) for end in others)
    assert [all_.add(end, loop) for end in hostile] == [True] + [False] * 199
    assert not any(end.gave_way for end in (*others, *hostile))
    # Only a few refused connections wait for their peers to read the reply.
    waiting = [end for end in hostile[1:] if not end.was_cut.is_set()]
    assert waiting == hostile[-MOST_REFUSED:]
    for end in hostile[1:]:
        all_.remove(end)
    assert not all_.add(End(), loop)
    all_.remove(hostile[0])
    assert all_.add(End(), loop)


async def test_stalled_connection_is_closed() -> None:
    loop, all_ = asyncio.get_running_loop(), bounds(write_timeout=0.02)
    still, moving = End(still=True), End()
    assert all_.add(still, loop)
    assert all_.add(moving, loop)
    async with asyncio.timeout(10):
        await still.was_cut.wait()
    assert not moving.was_cut.is_set()
    for end in (still, moving):
        all_.remove(end)
