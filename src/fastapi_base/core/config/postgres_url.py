"""PostgreSQL URLs as providers issue them: libpq parameters, multiple hosts, sockets.

Every parameter is honoured, translated into a setting, or refused by name. A parameter that
requests more protection than the settings provide is never ignored. The parameters are those of the
PostgreSQL manual, 34.1.2, and those that SQLAlchemy, Prisma and Rails add.
"""

import getpass
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self, get_args
from urllib.parse import quote, urlencode

from fastapi_base.core.config.urls import Address, parse_address, parse_url, written, written_login

SslMode = Literal["disable", "prefer", "require", "verify-ca", "verify-full"]
EXAMPLE = "postgresql://user:password@host:5432/name"
SCHEMES = ("postgresql+asyncpg", "postgresql", "postgres")

# In increasing order of protection.
_MODES: tuple[SslMode, ...] = get_args(SslMode)
# `allow` starts without TLS; `ssl=true` comes from JDBC, and libpq accepts it.
_OTHER_MODES: dict[str, SslMode] = {"allow": "prefer", "true": "require", "false": "disable"}
_BOOLEANS = {"true": True, "1": True, "on": True, "false": False, "0": False, "off": False}
_SESSIONS = ("any", "primary", "standby", "prefer-standby", "read-write", "read-only")
# Values that request the default behaviour.
_WITHOUT_EFFECT = {
    "client_encoding": ("utf8", "utf-8", "unicode", "auto"),
    "gssencmode": ("disable", "prefer"),
    "sslnegotiation": ("postgres",),
    "load_balance_hosts": ("disable",),
    "sslcompression": ("0",),
    "ssl_min_protocol_version": ("", "TLSv1", "TLSv1.1", "TLSv1.2"),
}
_KEPT = ("target_session_attrs", "application_name", "options")
_PLACES = ("host", "hostaddr", "port", "user", "password", "dbname", "database")


@dataclass(frozen=True, slots=True)
class PostgresUrl:
    """A database URL: location and credentials, and the settings it requests (`asked`)."""

    user: str | None
    password: str | None = field(repr=False)
    hosts: tuple[Address, ...]
    database: str
    kept: tuple[tuple[str, str], ...] = ()
    asked: dict[str, Any] = field(default_factory=dict, compare=False)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse a URL. Raises ValueError naming the parameter that is invalid or not supported."""
        url = parse_url(text, SCHEMES, EXAMPLE)
        given = _unique(url.query)
        hosts = url.hosts
        if place := given.pop("host", None):
            if hosts:
                raise ValueError(
                    "must name hosts once, either before the database name or in the parameter host"
                )
            hosts = tuple(parse_address(part) for part in place.split(","))
        hosts = _with_ports(hosts, given.pop("port", None))
        user, password = url.user or given.pop("user", None), url.password
        password = given.pop("password", None) if password is None else password
        name = url.path.removeprefix("/") or given.pop("dbname", given.pop("database", ""))
        if not name:
            raise ValueError("must end with the database name, as in ...@host:5432/name")
        if not user and not _somebody():
            raise ValueError(f"must name the user, as in {EXAMPLE}")
        if again := [known for known in _PLACES if known in given]:
            raise ValueError(
                f"the parameter {again[0]} duplicates a part of the URL; write {EXAMPLE}"
            )
        kept = tuple((known, given.pop(known)) for known in _KEPT if known in given)
        fallback = given.pop("fallback_application_name", None)
        if fallback and "application_name" not in dict(kept):
            kept = (*kept, ("application_name", fallback))
        if (session := dict(kept).get("target_session_attrs", "any")) not in _SESSIONS:
            raise ValueError(
                f"target_session_attrs must be one of {', '.join(_SESSIONS)}, not {session}"
            )
        asked = {**_tls(given), **_driver(given)}
        for known, harmless in _WITHOUT_EFFECT.items():
            if known in given and given.pop(known).lower() not in map(str.lower, harmless):
                raise ValueError(f"only {known}={harmless[-1]} is supported")
        if given:
            raise ValueError(f"the parameter {min(given)} is not supported: remove it")
        return cls(user, password, hosts, name, kept, asked)

    def __str__(self) -> str:
        """The normalised URL, without the parameters that were translated into settings."""
        login = written_login(self.user, self.password)
        places, kept = ",".join(map(written, self.hosts)), []
        if any(host.startswith("/") for host, _ in self.hosts):
            # The directory of a socket cannot appear in the authority.
            kept.append(("host", ",".join(written((host, None)) for host, _ in self.hosts)))
            if any(port for _, port in self.hosts):
                kept.append(("port", ",".join(str(port or 5432) for _, port in self.hosts)))
            places = ""
        query = urlencode([*kept, *self.kept], safe="/,:", quote_via=quote)
        return (
            f"postgresql+asyncpg://{login}{places}/{quote(self.database, safe='')}"
            f"{'?' if query else ''}{query}"
        )

    def arguments(self) -> dict[str, Any]:
        """The arguments of asyncpg.connect() from this URL, except user, password and database."""
        kept = dict(self.kept)
        session = kept.pop("target_session_attrs", None)
        given: dict[str, Any] = {"server_settings": kept}
        if self.hosts:
            given["host"] = [host for host, _ in self.hosts]
            given["port"] = [port or 5432 for _, port in self.hosts]
        return given if session is None else {**given, "target_session_attrs": session}


def strongest(modes: list[SslMode]) -> SslMode:
    """The mode that protects most."""
    return max(modes, key=_MODES.index)


def _unique(query: tuple[tuple[str, str], ...]) -> dict[str, str]:
    given: dict[str, str] = {}
    for name, value in query:
        if name == "host" and name in given:
            # SQLAlchemy's syntax for several hosts.
            given[name] += f",{value}"
        elif name in given:
            raise ValueError(f"the parameter {name} is duplicated")
        else:
            given[name] = value
    return given


def _with_ports(hosts: tuple[Address, ...], text: str | None) -> tuple[Address, ...]:
    if not text:
        return hosts
    ports = [parse_address(f"host:{port}")[1] for port in text.split(",")]
    ports = ports * len(hosts) if len(ports) == 1 else ports
    if len(ports) != len(hosts) or any(port for _, port in hosts):
        raise ValueError("the parameter port must have one port for each host")
    return tuple((host, port) for (host, _), port in zip(hosts, ports, strict=True))


def _somebody() -> bool:
    """Whether asyncpg can determine a user name; on OpenShift, a process has none."""
    try:
        return bool(os.environ.get("PGUSER") or getpass.getuser())
    except (OSError, KeyError):
        return False


def _tls(given: dict[str, str]) -> dict[str, Any]:
    """The requested `ssl_mode` and `ssl_ca_file`; removes the parameters it reads from `given`."""
    modes: list[SslMode] = []
    for name in ("sslmode", "ssl"):
        if name in given:
            text = given.pop(name).lower()
            mode = _OTHER_MODES.get(text) or next((m for m in _MODES if m == text), None)
            if mode is None:
                raise ValueError(f"{name} must be one of {', '.join(_MODES)}")
            modes.append(mode)
    asked: dict[str, Any] = {}
    root = given.pop("sslrootcert", None)
    if root == "system":
        # As in libpq: public authorities are only useful if the host name is verified.
        if modes and strongest(modes) != "verify-full":
            raise ValueError("sslrootcert=system requires sslmode=verify-full")
        modes.append("verify-full")
    elif root:
        asked["ssl_ca_file"] = Path(root)
        # As in libpq: a root certificate implies verification.
        if not modes or strongest(modes) in ("prefer", "require"):
            modes.append("verify-ca")
    binding = given.pop("channel_binding", "prefer")
    if binding == "require":
        # Channel binding prevents man-in-the-middle attacks. asyncpg does not support it, but
        # verifying the certificate gives the same protection.
        modes.append("verify-full")
    elif binding not in ("prefer", "disable"):
        raise ValueError("channel_binding must be one of disable, prefer, require")
    if modes:
        asked["ssl_mode"] = strongest(modes)
    return asked


def _driver(given: dict[str, str]) -> dict[str, Any]:
    """Other requested settings; removes the parameters it reads from `given`."""
    asked: dict[str, Any] = {}
    if "connect_timeout" in given:
        asked["connect_timeout"] = _number("connect_timeout", given.pop("connect_timeout"), 1)
    if "pgbouncer" in given and _boolean("pgbouncer", given.pop("pgbouncer")):
        asked["pgbouncer"] = True
    if "prepared_statements" in given:
        text = given.pop("prepared_statements")
        if not _boolean("prepared_statements", text):
            asked["pgbouncer"] = True
    for name in ("statement_cache_size", "prepared_statement_cache_size"):
        if name in given:
            if size := _number(name, given.pop(name), 0):
                asked["statement_cache_size"] = size
            else:
                asked["pgbouncer"] = True
    return asked


def _number(name: str, text: str, least: int) -> int:
    if not (text.isascii() and text.isdigit() and int(text) >= least):
        raise ValueError(f"{name} must be an integer of at least {least}")
    return int(text)


def _boolean(name: str, text: str) -> bool:
    if (value := _BOOLEANS.get(text.lower())) is None:
        raise ValueError(f"{name} must be true or false")
    return value
