"""Validates request heads before they are processed (RFC 9112).

httptools (llhttp in strict mode) rejects malformed HTTP: bare CR or LF, folded lines, whitespace
before a colon, control characters, repeated Content-Length, or Content-Length with
Transfer-Encoding. It does not check Host, transfer codings other than chunked, or the HTTP versions
that the server supports.
"""

import re
from functools import lru_cache
from ipaddress import IPv6Address

import httptools

from fastapi_base.serving.refusal import RefusedError

Fields = list[tuple[bytes, bytes]]

_READ = frozenset({b"host", b"content-length", b"transfer-encoding"})
_VERSIONS = frozenset({"1.1", "1.0"})
# A name, an IPv4 address, or an IPv6 address in brackets, with an optional port. RFC 3986 (3.2.2)
# also allows percent-encoding and sub-delimiters in names, which are only used to confuse parsers.
_HOST = re.compile(rb"(?:[A-Za-z0-9._~-]{1,255}|\[([0-9A-Fa-f:.]{2,45})\])(?::([0-9]{0,5}))?")
# Longer than any valid value: such values are neither matched nor cached.
_LONGEST_HOST = 300
_LAST_PORT = 65535


def check(version: str, fields: Fields) -> bool:
    """Whether a body follows. Raises RefusedError for a head that must not be served.

    Requires exactly one valid Host, which only HTTP/1.0 may omit (RFC 9112, 3.2). Accepts no
    transfer coding except chunked (6.1), and none in HTTP/1.0, where the framing would be
    ambiguous.
    """
    if version not in _VERSIONS:
        raise RefusedError(505, f"HTTP/{version} is not supported; send HTTP/1.1")
    host: bytes | None = None
    body = False
    for name, value in [field for field in fields if field[0] in _READ]:
        if name == b"host":
            if host is not None:
                raise RefusedError(400, "Host must occur only once (RFC 9112, 3.2)")
            host = value
            if not is_host(host):
                raise RefusedError(
                    400,
                    "Host must be a name or an IP address with an optional port (RFC 9112, 3.2)",
                )
        elif name == b"content-length":
            body = body or value.strip(b"0 ") != b""
        elif version == "1.0":
            raise RefusedError(400, "Transfer-Encoding is not allowed in HTTP/1.0 (RFC 9112, 6.1)")
        elif value.strip().lower() != b"chunked":
            raise RefusedError(501, "Only the transfer coding chunked is supported (RFC 9112, 6.1)")
        else:
            body = True
    if host is None and version != "1.0":
        raise RefusedError(400, "Host is missing (RFC 9112, 3.2)")
    return body


def is_host(value: bytes) -> bool:
    """Whether a Host field, or the authority of a target, is valid (RFC 9110, 4.2.1, 7.2)."""
    host = value.strip(b" \t")
    return len(host) <= _LONGEST_HOST and _is_host(host)


@lru_cache(1024)
def _is_host(host: bytes) -> bool:
    found = _HOST.fullmatch(host)
    if found is None or int(found[2] or 0) > _LAST_PORT:
        return False
    if found[1] is None:
        return True
    try:
        IPv6Address(found[1].decode())
    except ValueError:
        return False
    return True


def origin(target: bytes, fields: Fields) -> bytes:
    """The target without scheme and host; the host replaces Host in `fields` (RFC 9112, 3.2.2).

    For targets that do not start with a slash. Raises RefusedError for other schemes, missing hosts
    and invalid targets; `*` (OPTIONS) is returned unchanged.
    """
    if target == b"*":
        return target
    scheme, separator, rest = target.partition(b"://")
    end = min((at for at in map(rest.find, (b"/", b"?", b"#")) if at >= 0), default=len(rest))
    host, path = rest[:end], rest[end:]
    if not separator or scheme.lower() not in (b"http", b"https") or not is_host(host):
        raise RefusedError(400, "The target must be a path, or http://host/path (RFC 9112, 3.2)")
    fields[:] = [(name, host if name == b"host" else value) for name, value in fields]
    if all(name != b"host" for name, _ in fields):
        fields.append((b"host", host))
    return path if path.startswith(b"/") else b"/" + path


def without_upgrade(parser: httptools.HttpRequestParser, target: bytes, fields: Fields) -> bytes:
    """The serialised head without the offer to upgrade the protocol (RFC 9110, 7.8).

    httptools stops after a head with such an offer and does not parse the body.
    """
    lines = [b"%b %b HTTP/%b" % (parser.get_method(), target, parser.get_http_version().encode())]
    lines += [
        name + b": " + value
        for name, value in fields
        if name not in (b"upgrade", b"http2-settings", b"connection")
    ]
    connection = [value for name, value in fields if name == b"connection"]
    if any(b"close" in value.lower() for value in connection):
        lines.append(b"connection: close")
    return b"\r\n".join([*lines, b"", b""])


def new_parser(protocol: object) -> httptools.HttpRequestParser:
    """A parser with uvicorn's options: data after `Connection: close` is no error."""
    made = httptools.HttpRequestParser(protocol)
    made.set_dangerous_leniencies(lenient_data_after_close=True)
    return made
