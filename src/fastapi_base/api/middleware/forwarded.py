"""Determines the client address and scheme: the peer's, or those a trusted proxy reports."""

from collections.abc import Sequence
from functools import lru_cache

from starlette.types import ASGIApp, Receive, Scope, Send

from fastapi_base.utils.addresses import Networks, forwarded, plain

_READ = frozenset({b"x-forwarded-for", b"x-forwarded-proto"})
_SCHEMES = {b"http": "http", b"https": "https"}
# Longer chains are parsed each time: client-supplied values must not fill the cache.
_REMEMBERED = 128


class ForwardedMiddleware:
    """Sets `client` and `scheme` of the scope for the inner application.

    The peer's IP address is normalised (utils/addresses.py). If the peer is one of `trusted`,
    X-Forwarded-For is read from its end, where the nearest proxy appended, up to the first address
    that is not a trusted proxy: that is the client. Elements before one that is not an IP address
    are ignored. The last X-Forwarded-Proto counts. Forwarded (RFC 7239) is never read, because a
    proxy that does not support it passes a client's value through.
    """

    def __init__(self, app: ASGIApp, *, trusted: Sequence[str]) -> None:
        self.app = app
        self._trusted = Networks(trusted)
        # Each request looks up the same few values.
        self._known_peer = lru_cache(4096)(self._peer)
        self._known_client = lru_cache(4096)(self._client)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] == "http":
            client = scope.get("client")
            host, port = client or (None, 0)
            peer, is_trusted = self._known_peer(host)
            if is_trusted:
                found = [pair for pair in scope["headers"] if pair[0] in _READ]
                if found:
                    self._believe(scope, found, peer, port)
                    await self.app(scope, receive, send)
                    return
            if peer != host:
                scope["client"] = (peer, port)
        await self.app(scope, receive, send)

    def _believe(
        self, scope: Scope, found: list[tuple[bytes, bytes]], peer: str | None, port: int
    ) -> None:
        chain = b""
        for name, value in found:
            if name == b"x-forwarded-for":
                chain = chain + b"," + value if chain else value
            elif scheme := _SCHEMES.get(value.strip()):
                scope["scheme"] = scheme
        read = self._known_client if len(chain) <= _REMEMBERED else self._client
        client = read(chain, peer)
        if client is not None:
            scope["client"] = (client, port if client == peer else 0)

    def _peer(self, host: str | None) -> tuple[str | None, bool]:
        peer = host and (plain(host) or host)
        return peer, peer in self._trusted

    def _client(self, chain: bytes, peer: str | None) -> str | None:
        client = peer
        for element in reversed(chain.decode("latin-1").split(",")):
            # Empty list elements are ignored (RFC 9110, 5.6.1.2).
            if not element.strip():
                continue
            address = forwarded(element)
            if address is None:
                break
            client = address
            if address not in self._trusted:
                break
        return client
