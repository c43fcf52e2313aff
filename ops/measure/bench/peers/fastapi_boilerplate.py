"""benavlabs/FastAPI-boilerplate: FastAPI with FastCRUD, SQLAlchemy and asyncpg, arq and Redis.

Version 0.17, in its state with structured logging: the last one with JWT and with posts. Since 0.18
it has sessions in cookies, and nothing of the kind of an item.

In production, by its own compose files, gunicorn runs it with Uvicorn's worker, so with uvloop and
httptools; here with one worker instead of four. It makes its tables at its start. Each request goes
to its log twice: to the console, and as JSON to `src/app/logs`. The admin pages are mounted, as by
default, and keep an SQLite file in `src`. Their first administrator is given by settings, but is
no account of the API before a script was run on tables that are there only once it serves: an
account is registered through the API instead, as anybody may.

- "health" is `/health`, which asks nothing of the database.
- "me" is `/user/me/`: it looks for the token among the blacklisted ones, then for the account.
- "create" is a post, which has a title and a text; also reads the account once more, by its name.
- "list of 50" is the page of the account's posts, the only such list. It needs no token, and for 60
  seconds the reply is out of Redis, so nearly all are: neither authentication nor SQL.

Of its database connections five stay open: of more requests at once, some open one of their own.
Only its route for tasks has a rate limit, and logins have none: nothing is raised. Its tokens are
of whole seconds: of the eight, those of one second are the same.
"""

import urllib.parse
from collections.abc import Mapping

import httpx2

from ops.bench import serving
from ops.bench.load import Load
from ops.bench.peers.peer import Peer, logged_in
from ops.dev import places

_API = "/api/v1"
_USERNAME = "ada"
_POST = f"{_API}/{_USERNAME}/post"
_TEAPOT = '{"title": "Teapot", "text": "Short and stout"}'


def _environ(database: str, redis: str) -> Mapping[str, str]:
    postgres, cache = urllib.parse.urlsplit(database), urllib.parse.urlsplit(redis)
    settings = {
        "ENVIRONMENT": "production",
        "APP_NAME": "Benchmark",
        "APP_VERSION": "0.17",
        "SECRET_KEY": serving.SECRET,
        "ACCESS_TOKEN_EXPIRE_MINUTES": "60",
        "ADMIN_PASSWORD": serving.PASSWORD,
        "POSTGRES_USER": str(postgres.username),
        "POSTGRES_PASSWORD": str(postgres.password),
        "POSTGRES_SERVER": str(postgres.hostname),
        "POSTGRES_PORT": str(postgres.port),
        "POSTGRES_DB": postgres.path.removeprefix("/"),
    }
    for use in ("CACHE", "QUEUE", "RATE_LIMIT"):
        settings[f"REDIS_{use}_HOST"] = str(cache.hostname)
        settings[f"REDIS_{use}_PORT"] = str(cache.port)
    return settings


def _log_in(client: httpx2.Client) -> list[str]:
    account = {"name": "Ada", "username": _USERNAME, "email": serving.EMAIL}
    account["password"] = serving.PASSWORD
    client.post(f"{_API}/user", json=account).raise_for_status()
    return logged_in(client, f"{_API}/login", _USERNAME, _POST, _TEAPOT)


PEER = Peer(
    folder="src",
    install="uv sync",
    environ=_environ,
    prepare=(),
    serve=(
        *("gunicorn", "app.main:app", "--workers", "1"),
        *("--worker-class", "uvicorn.workers.UvicornWorker"),
        *("--bind", f"{places.LOOPBACK}:{{port}}"),
    ),
    live=f"{_API}/health",
    log_in=_log_in,
    workloads={
        "health": Load(f"{_API}/health"),
        "me": Load(f"{_API}/user/me/"),
        "create": Load(_POST, body=_TEAPOT),
        "list of 50": Load(f"{_API}/{_USERNAME}/posts?page=1&items_per_page=50"),
    },
)
