"""Limits the connections of one process: in number, per peer, and in write stalls."""

import asyncio
import logging
from collections import Counter
from collections.abc import Container
from typing import Protocol

from fastapi_base.utils.addresses import network

log = logging.getLogger(__name__)

# Refused connections that may wait until their peers have read the reply.
MOST_REFUSED = 64


class Connection(Protocol):
    """A connection as seen by the limits."""

    @property
    def peer(self) -> str | None:
        """The IP address of the peer."""
        ...

    def stands_still(self, now: float, seconds: float) -> bool:
        """Whether data has been waiting to be sent for `seconds` without any progress."""
        ...

    def give_way(self) -> None:
        """Close the connection in favour of others."""
        ...

    def cut(self) -> None:
        """Abort the connection; unsent data is lost."""
        ...


class Connections:
    """The limits on connections of this process.

    `most` limits the total: one more connection closes the one that has been without a complete
    request for the longest. `of_peer` limits connections per IP address (IPv6: /64), except for
    those in `exempt`, which are proxies: one more is refused. Refused connections count towards
    neither limit; at most MOST_REFUSED of them stay open at a time. A connection whose peer reads
    nothing of the pending data for `write_timeout` seconds is aborted, even after the response or
    while it is being closed.
    """

    def __init__(
        self, most: int, of_peer: int, exempt: Container[str], write_timeout: float
    ) -> None:
        self.write_timeout = write_timeout
        self._most = most
        self._of_peer = of_peer
        self._exempt = exempt
        # The key of each connection in `_peers`, or None if it is not counted.
        self._all: dict[Connection, str | None] = {}
        self._peers: Counter[str] = Counter()
        # Connections without a complete request, the longest-waiting first.
        self._idle: dict[Connection, None] = {}
        # Oldest first.
        self._refused: dict[Connection, None] = {}
        self._sweep: asyncio.TimerHandle | None = None

    def add(self, connection: Connection, loop: asyncio.AbstractEventLoop) -> bool:
        """Register a new connection; returns whether it may stay open."""
        peer = connection.peer
        key = None if peer is None or peer in self._exempt else network(peer)
        if key is not None and self._peers[key] >= self._of_peer:
            self._refuse(connection)
            return False
        self._all[connection] = key
        self._idle[connection] = None
        if self._sweep is None:
            self._later(loop)
        if key is not None:
            self._peers[key] += 1
        if len(self._all) > self._most:
            oldest = next(iter(self._idle))
            self.busy(oldest)
            oldest.give_way()
            return oldest is not connection
        return True

    def remove(self, connection: Connection) -> None:
        """Called when the connection is closed."""
        self._refused.pop(connection, None)
        if connection not in self._all:
            return
        key = self._all.pop(connection)
        self._idle.pop(connection, None)
        if key is not None:
            self._peers[key] -= 1
            if not self._peers[key]:
                del self._peers[key]
        if not self._all and self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None

    def busy(self, connection: Connection) -> None:
        """Called when the connection has received a complete request."""
        self._idle.pop(connection, None)

    def idle(self, connection: Connection) -> None:
        """Called when the response has been written."""
        self._idle[connection] = None

    def _refuse(self, connection: Connection) -> None:
        self._refused[connection] = None
        if len(self._refused) > MOST_REFUSED:
            oldest = next(iter(self._refused))
            del self._refused[oldest]
            oldest.cut()

    def _later(self, loop: asyncio.AbstractEventLoop) -> None:
        self._sweep = loop.call_later(self.write_timeout / 4, self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for connection in [*self._all]:
            if connection.stands_still(now, self.write_timeout):
                log.info(
                    "connection cut: %s read nothing for %g s", connection.peer, self.write_timeout
                )
                connection.cut()
        self._later(loop)
