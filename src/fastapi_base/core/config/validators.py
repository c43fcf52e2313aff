"""Validators of single settings. Each function returns the value in its normal form.

They raise ValueError with the expected form. Messages never show values that may hold a secret.
"""

import re
from ipaddress import ip_address, ip_network
from urllib.parse import quote, urlsplit

from pydantic import SecretStr

from fastapi_base.core.config.quotas import Quota, RouteQuota
from fastapi_base.core.config.urls import (
    Url,
    host_name,
    is_loopback,
    parse_address,
    parse_url,
    written,
)
from fastapi_base.core.flags import parse_defaults

_HTTP = ("http", "https")
_PORTS = {"http": 80, "https": 443}
_REDIS = "redis://:password@host:6379/0 (rediss:// for TLS)"
_RABBITMQ = (
    "amqp://user:password@host:5672/vhost (amqps:// for TLS), or be empty to use the Redis of"
    " REDIS_URL as broker"
)
# Parameters of Redis URLs, and the equivalent setting.
_REDIS_PARAMETERS = {
    "ssl_ca_certs": "set TLS_CA_FILE",
    "ssl_cert_reqs": "certificates are verified unless TLS_VERIFY=none",
    "ssl_check_hostname": "host names are verified unless TLS_VERIFY=none",
    "ssl": "use rediss:// for TLS",
    "tls": "use rediss:// for TLS",
    "socket_timeout": "set REDIS_TIMEOUT",
    "socket_connect_timeout": "set REDIS_CONNECT_TIMEOUT",
    "max_connections": "set REDIS_MAX_CONNECTIONS",
}
_STRICT = {"ssl_cert_reqs": ("required", "cert_required"), "ssl_check_hostname": ("true", "1")}
# A user, a project, and nothing else: what the SDK accepts.
_PROJECT = re.compile(r"/(\S*/)?[0-9]+/?")


def redis_url(value: SecretStr) -> SecretStr:
    """The URL with the database in its path, which redis-py, Kombu and Sentinel all understand."""
    text = value.get_secret_value()
    if re.match(r"(redis\+)?sentinel:|redis-sentinel:", text):
        raise ValueError(f"must look like {_REDIS}; set REDIS_SENTINELS for Sentinels")
    url = parse_url(text, ("redis", "rediss"), _REDIS)
    if len(url.hosts) > 1 or any(host.startswith("/") for host, _ in url.hosts):
        raise ValueError(f"must name one TCP host, as in {_REDIS}")
    database = url.path.strip("/")
    for name, given in url.query:
        if name == "db" and not database:
            database = given
        elif not (url.scheme == "rediss" and given.lower() in _STRICT.get(name, ())):
            reason = _REDIS_PARAMETERS.get(name, "remove it")
            raise ValueError(f"the parameter {name} is not supported: {reason}")
    if not database.isdigit() and database:
        raise ValueError(f"must end with the database number, as in {_REDIS}")
    place = "".join(map(written, url.hosts))
    return SecretStr(f"{url.scheme}://{url.login}{place}/{database or '0'}")


def broker_url(value: SecretStr) -> SecretStr:
    """A RabbitMQ URL, or several separated by semicolons. REDIS_URL configures Redis."""
    several = value.get_secret_value().split(";")
    urls = [_of_one_host(text, ("amqp", "amqps"), _RABBITMQ) for text in several]
    for url in urls:
        if url.query:
            raise ValueError(f"the parameter {url.query[0][0]} is not supported: remove it")
    if len(urls) > 1 and any(url.scheme == "amqps" for url in urls):
        raise ValueError(
            "must be a single URL with amqps://, because the certificate is verified for one host"
        )
    return SecretStr(";".join(map(_normal, urls)))


def sentry_dsn(value: SecretStr) -> SecretStr:
    """A DSN that the SDK can parse."""
    example = "https://key@o1.ingest.sentry.io/1"
    url = _of_one_host(value.get_secret_value(), _HTTP, example)
    if not (url.user and _PROJECT.fullmatch(url.path)) or url.query:
        raise ValueError(f"must look like {example}")
    return SecretStr(_normal(url))


def web_url(value: str) -> str:
    """A URL with lower-case scheme and host, without credentials, query and fragment."""
    url = _web(value)
    return f"{url.scheme}://{written(url.hosts[0])}{urlsplit(value).path}"


def endpoint(value: str) -> str:
    """A URL to send data to, unchanged. Credentials and a query are allowed."""
    _of_one_host(value, _HTTP, "http://collector:4318/v1/traces")
    return value


def redirect_uri(value: str) -> str:
    """The page to which a provider redirects browsers, unchanged: providers compare it exactly."""
    example = "https://app.example.com/login/example"
    if _of_one_host(value, _HTTP, example).login:
        raise ValueError(f"must look like {example}, without credentials")
    return value


def issuer_url(value: str) -> str:
    """The issuer, unchanged: https:// or a loopback host (OpenID Connect Discovery 1.0, 3)."""
    # Unchanged, because issuers are compared character by character.
    if not is_private(_web(value, "https://login.example.com")):
        raise ValueError("issuer must be https://, as in https://login.example.com")
    return value


def origin(value: str) -> str:
    """An origin as browsers serialise it (RFC 6454, 6.1): no path, no default port, lower case."""
    url = _web(value, "https://app.example.com")
    if url.path not in ("", "/"):
        raise ValueError(f"{value!r} must not have a path: https://app.example.com")
    host, port = url.hosts[0]
    return f"{url.scheme}://{written((host, None if port == _PORTS[url.scheme] else port))}"


def origins(value: tuple[str, ...]) -> tuple[str, ...]:
    """Origins as browsers serialise them."""
    return tuple(map(origin, value))


def servers(value: tuple[str, ...]) -> tuple[str, ...]:
    """URLs of servers, without a slash at the end: clients append paths."""
    return tuple(web_url(given).rstrip("/") for given in value)


def cors_origins(value: tuple[str, ...]) -> tuple[str, ...]:
    """Origins as browsers serialise them; * stands for all."""
    return tuple(given if given == "*" else origin(given) for given in value)


def is_private(url: Url) -> bool:
    """Whether traffic to the URL cannot be read in transit: by TLS, or on the local machine."""
    return url.scheme == "https" or is_loopback(url.hosts[0][0])


def is_private_url(value: str) -> bool:
    """Like is_private(), for the text of a URL."""
    return is_private(_of_one_host(value, _HTTP, "https://app.example.com"))


def trusted_hosts(value: tuple[str, ...]) -> tuple[str, ...]:
    """Hosts in the form in which they are compared with `Host`, whose port is ignored."""
    if not value:
        raise ValueError("must name at least one host; * allows any")
    return tuple(dict.fromkeys(map(_trusted_host, value)))


def _trusted_host(given: str) -> str:
    if given == "*":
        return given
    bare = re.sub(r"^https?://", "", given, flags=re.IGNORECASE).removesuffix("/")
    wild = "*." if bare.startswith("*.") else ""
    try:
        # An IPv6 address may be written without brackets here, because no port follows.
        host = _plain_ipv6(bare) or parse_address(bare.removeprefix(wild))[0]
    except ValueError:
        host = ""
    if not host or host.startswith("/") or (wild and ":" in host):
        raise ValueError(
            f"{given!r} must look like api.example.com, *.example.com for subdomains, or * for any"
        )
    return f"{wild}{written((host, None))}"


def _plain_ipv6(text: str) -> str | None:
    try:
        return str(ip_address(text)) if text.count(":") > 1 else None
    except ValueError:
        return None


def bind_host(value: str) -> str:
    """A host to listen on or to connect to, without scheme and port."""
    try:
        return host_name(value)
    except ValueError as error:
        raise ValueError(f"{error}, without scheme or port") from None


def domain(value: str) -> str:
    """A domain without scheme and port. Passkeys require a domain (WebAuthn Level 3, 5.1.2)."""
    host = bind_host(value)
    if ":" in host or host.replace(".", "").isdigit():
        raise ValueError("must be a domain, as in example.com")
    return host


def sender(value: str) -> str:
    """An e-mail address in ASCII, which every mail server accepts."""
    local, _, place = value.rpartition("@")
    if not local.isascii():
        raise ValueError("must be ASCII before the @")
    try:
        return f"{local}@{host_name(place)}"
    except ValueError:
        raise ValueError("must be an e-mail address, such as no-reply@example.com") from None


def addresses(value: tuple[str, ...]) -> tuple[str, ...]:
    """Addresses that consist of a host and a port."""
    return tuple(map(_address, value))


def _address(given: str) -> str:
    try:
        host, port = parse_address(given)
    except ValueError:
        host, port = "", None
    if not host or port is None or (given.count(":") > 1 and "[" not in given):
        raise ValueError(f"{given!r} must look like sentinel-1.example.com:26379")
    return written((host, port))


def quota(value: str) -> str:
    """A valid quota, unchanged."""
    Quota.parse(value)
    return value


def route_quotas(value: tuple[str, ...]) -> tuple[str, ...]:
    """Valid route quotas, unchanged."""
    for rule in value:
        RouteQuota.parse(rule)
    return value


def flag_defaults(value: tuple[str, ...]) -> tuple[str, ...]:
    """Valid defaults of existing feature flags, unchanged."""
    parse_defaults(value)
    return value


def networks(value: tuple[str, ...], *, strict: bool = False) -> tuple[str, ...]:
    """CIDR blocks or addresses; bits beyond the prefix are cleared, or refused if `strict`."""
    found = []
    for given in value:
        try:
            found.append(str(ip_network(given.strip("[]"), strict=strict)))
        except ValueError:
            raise ValueError(f"{given!r} must look like 10.0.0.0/8 or 2001:db8::/32") from None
    return tuple(found)


def proxies(value: tuple[str, ...]) -> tuple[str, ...]:
    """Addresses, CIDR blocks or *.

    Bits beyond the prefix are refused: 10.0.0.7/8 would trust more proxies than its author meant.
    """
    found = networks(tuple(given for given in value if given != "*"), strict=True)
    return ("*",) if "*" in value else found


def _normal(url: Url) -> str:
    """A single-host URL that every parser reads the same way, whatever its password contains."""
    return f"{url.scheme}://{url.login}{written(url.hosts[0])}{quote(url.path)}"


def _web(value: str, example: str = "https://app.example.com") -> Url:
    url = _of_one_host(value, _HTTP, example)
    if url.login or url.query:
        raise ValueError(f"must look like {example}, without credentials or query")
    return url


def _of_one_host(text: str, schemes: tuple[str, ...], example: str) -> Url:
    """Parse a URL that names exactly one host and no local socket."""
    url = parse_url(text, schemes, example)
    if len(url.hosts) != 1 or url.hosts[0][0].startswith("/"):
        raise ValueError(f"must name one TCP host, as in {example}")
    return url
