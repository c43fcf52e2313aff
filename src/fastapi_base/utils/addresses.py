"""Normalises IP addresses, so that they can be compared and counted.

A socket that listens on `::` reports IPv4 peers as `::ffff:a.b.c.d` (RFC 4291, 2.5.5.2), and
proxies add ports, brackets and zones. This module is the only place that removes them.
"""

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

# Longer than any address with zone, brackets and port: longer texts are neither parsed nor cached.
_LONGEST = 128
# The number of bits before the IPv4 part of an IPv4-mapped network.
_MAPPED_BITS = 96


def plain(text: str) -> str | None:
    """The canonical form of an address (RFC 5952), or None if the text is not an address.

    IPv4-mapped IPv6 addresses become IPv4 addresses; a zone (`%eth0`, RFC 6874) is removed.
    """
    return None if len(text) > _LONGEST else _plain(text)


@lru_cache(4096)
def _plain(text: str) -> str | None:
    try:
        found = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return str(_unmapped(found))


def network(address: str | None) -> str:
    """The network of one client: an IPv4 address, or an IPv6 /64 (the minimum for a household).

    Returns "unknown" if the address is missing or invalid.
    """
    known = plain(address or "")
    return "unknown" if known is None else _network_of(known)


@lru_cache(4096)
def _network_of(known: str) -> str:
    if ":" in known:
        return str(ip_network(f"{known}/64", strict=False))
    return known


def forwarded(element: str) -> str | None:
    """The address in one element of X-Forwarded-For, or None if there is none.

    Accepts `192.0.2.1`, `192.0.2.1:4711`, `2001:db8::1`, `[2001:db8::1]:4711`, and the syntax of
    Forwarded that some proxies copy: `for="[2001:db8::1]:4711"` (RFC 7239, 6).
    """
    text = element.partition(";")[0].strip()
    if text[:4].lower() == "for=":
        text = text[4:]
    text = text.strip('" ')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    return plain(text)


class Networks:
    """A set of addresses and CIDR blocks; `*` includes every address, even an unknown one."""

    def __init__(self, given: Iterable[str]) -> None:
        """Parse the elements. Raises ValueError for invalid ones."""
        parts = [part for part in given if part]
        self._all = "*" in parts
        self._networks = [_network(part) for part in parts if part != "*"]
        self._known = lru_cache(4096)(self._find)

    def __contains__(self, address: object) -> bool:
        """Whether an address, in the form that plain() returns, is in the set."""
        if self._all:
            return True
        return bool(self._networks) and isinstance(address, str) and self._known(address)

    def _find(self, address: str) -> bool:
        try:
            found = ip_address(address)
        except ValueError:
            return False
        return any(found in network for network in self._networks)


def _unmapped(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        return address.ipv4_mapped
    return address


def _network(text: str) -> IPv4Network | IPv6Network:
    found = ip_network(text, strict=False)
    start = _unmapped(found.network_address)
    if isinstance(start, IPv4Address) and isinstance(found, IPv6Network):
        return IPv4Network((start, max(0, found.prefixlen - _MAPPED_BITS)))
    return found
