"""benavlabs/FastAPI-boilerplate: FastAPI with FastCRUD, SQLAlchemy and asyncpg, arq and Redis.

Version 0.17, in its state with structured logging: the last one with JWT and with posts. Since 0.18
it has sessions in cookies, and no equivalent of an item.

In production, by its own compose files, gunicorn runs it with Uvicorn's worker, so with uvloop and
httptools; here with one worker instead of four. It creates its tables at its start. Each request is
logged twice: to the console, and as JSON to `src/app/logs`. The admin pages are mounted, as by
default, and keep an SQLite file in `src`. Settings define their first administrator, which becomes
an account of the API only after a script has run on tables that exist only once it serves: an
account is registered through the API instead, as anybody may.

- "health" is `/health`, which does not query the database.
- "me" is `/user/me/`: it checks the token against the blacklist, then loads the account.
- "create" is a post, which has a title and a text; it also reads the account once more, by name.
- "list of 50" is the page of the account's posts, the only such list. It needs no token, and the
  reply is cached in Redis for 60 seconds, so nearly all come from there: neither authentication nor
  SQL.

Its pool keeps five database connections open; additional concurrent requests open new ones.
Only its route for tasks has a rate limit, and logins have none: no limit had to be raised. Its
tokens have a resolution of seconds: of the eight, those of one second are the same.
"""

import urllib.parse
from collections.abc import Mapping

import httpx2

from ops.dev import places
from ops.measure.bench import serving
from ops.measure.bench.load import Load
from ops.measure.bench.peers.peer import Peer, logged_in

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
