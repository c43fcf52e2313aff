"""Parses URLs with credentials, with error messages that do not reveal them.

`urllib.parse` ends the host at the first `/`, `?` or `#`, drops line breaks, and splits at the last
of several `@`. A password with such an unescaped character yields another host, another database or
no password, and often an error message that contains it.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import parse_qsl, quote, unquote

ENCODE = (
    "user, password and name must be percent-encoded (RFC 3986): %40 for @, %2F for /, %3F for ?,"
    " %23 for #, %25 for %"
)
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_BAD_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_INVISIBLE = re.compile(r"[\s\x00-\x1f\x7f]")
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?", re.IGNORECASE)
Address = tuple[str, int | None]


@dataclass(frozen=True, slots=True)
class Url:
    """The decoded parts of a URL. `hosts` holds zero or more hosts, each with its port."""

    scheme: str
    user: str | None
    password: str | None
    hosts: tuple[Address, ...]
    path: str
    query: tuple[tuple[str, str], ...]

    @property
    def login(self) -> str:
        """The encoded credentials as written before the hosts."""
        return written_login(self.user, self.password)


def parse_url(text: str, schemes: Iterable[str], example: str) -> Url:
    """Parse a URL. Raises ValueError that names the expected form and does not repeat the value."""
    match = _SCHEME.match(text)
    if not match or match[1].lower() not in schemes:
        raise ValueError(f"must look like {example}")
    if _INVISIBLE.search(text):
        raise ValueError("must not contain white space or control characters")
    rest = text[match.end() :]
    end = next((i for i, character in enumerate(rest) if character in "/?#"), len(rest))
    authority, tail = rest[:end], rest[end:]
    # The credentials end at the only @ that is allowed.
    if authority.count("@") > 1 or "@" in tail or "#" in tail or _BAD_PERCENT.search(rest):
        raise ValueError(ENCODE)
    login, at, places = authority.rpartition("@")
    user, colon, password = login.partition(":")
    path, _, query = tail.partition("?")
    return Url(
        scheme=match[1].lower(),
        user=unquote(user) if at and user else None,
        password=unquote(password) if colon else None,
        hosts=tuple(parse_address(unquote(place)) for place in places.split(",") if places),
        path=unquote(path),
        query=tuple(parse_qsl(query, keep_blank_values=True)),
    )


def written_login(user: str | None, password: str | None) -> str:
    """Encode user and password as written before the hosts of a URL."""
    if user is None and password is None:
        return ""
    secret = "" if password is None else f":{quote(password, safe='')}"
    return f"{quote(user or '', safe='')}{secret}@"


def parse_address(text: str) -> Address:
    """Parse `host`, `host:port`, `[::1]:port` or the path of a socket.

    Raises ValueError naming the expected form.
    """
    if text.startswith("/"):
        return text, None
    host, colon, port = text, "", ""
    if not text.endswith("]"):
        host, colon, port = text.rpartition(":") if ":" in text else (text, "", "")
    if colon and not (port.isascii() and port.isdigit() and 0 < int(port) < 65_536):
        raise ValueError(f"the port must be a number from 1 to 65535; {ENCODE}")
    return host_name(host), int(port) if port else None


def host_name(text: str) -> str:
    """Normalise a host for comparison: lower case, ASCII, no trailing dot.

    International names become A-labels, and IPv6 addresses lose their brackets. Raises ValueError.
    """
    bare = text.removeprefix("[").removesuffix("]") if text.startswith("[") else text
    try:
        return str(ip_address(bare))
    except ValueError:
        pass
    name = _in_ascii(text.lower().rstrip("."))
    labels = name.split(".")
    numeric = labels[-1].isdigit()
    if len(name) > 253 or numeric or not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError("a host must look like db.example.com, 10.0.0.7 or [2001:db8::7]")
    return name


def _in_ascii(name: str) -> str:
    """The A-labels of a name; empty for a name that IDNA 2003 and IDNA 2008 read differently."""
    if name.isascii():
        return name
    try:
        encoded = name.encode("idna")
        return encoded.decode() if encoded.decode("idna") == name else ""
    except UnicodeError:
        return ""


def written(address: Address) -> str:
    """Format an address for a URL. For a socket, this is its directory without the port."""
    host, port = address
    if host.startswith("/"):
        return host
    host = f"[{host}]" if ":" in host else host
    return host if port is None else f"{host}:{port}"


def is_loopback(host: str) -> bool:
    """Whether a server that listens on this host is reachable only from this machine."""
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        return ip_address(host.removeprefix("[").removesuffix("]")).is_loopback
    except ValueError:
        return False
