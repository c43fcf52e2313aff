"""The backend of fastapi/full-stack-fastapi-template, its authors' starting point for a product.

Measured: release 0.10.0 with the changes until February 2026, with the versions of its lock file at
that time (FastAPI 0.128.8, Starlette 0.46.2, SQLModel 0.0.31, psycopg 3.3), on CPython 3.13 like
this project. The latest state needs CPython 3.14.

It is run as its Dockerfile and its deployment guide say: the steps of scripts/prestart.sh, with the
tables created from its metadata instead of its migrations; then `fastapi run`, which is uvicorn
with uvloop and httptools and writes the access log through Rich, at some 0.4 ms a line. One worker
process here, four there. ENVIRONMENT is production, CORS is on, Sentry and mail are off, as they
are until somebody configures a DSN and a host. It has no rate limits and no login throttle.

"health" is the URL of its Compose health check, a constant `true`. "me", "create" and "list of 50"
are the equivalent endpoints, for an account that signs up, as anybody may. A reply to "create" is
200.
"""

import urllib.parse
from collections.abc import Mapping

import httpx2

from ops.dev import places
from ops.measure.bench import serving
from ops.measure.bench.load import Load
from ops.measure.bench.peers.peer import Peer, logged_in

_API = "/api/v1"
_ITEMS = f"{_API}/items/"
_HEALTH = f"{_API}/utils/health-check/"
_TEAPOT = '{"title": "Teapot", "description": "Short and stout"}'
# Its migrations temporarily need the PostgreSQL extension uuid-ossp, whose library few machines
# have. Its metadata describes the resulting schema.
_TABLES = (
    "from app.core.db import engine\n"
    "from app.models import SQLModel\n"
    "SQLModel.metadata.create_all(engine)\n"
)


def _environ(database: str, _redis: str) -> Mapping[str, str]:
    """It takes its database URL in parts, and uses no Redis."""
    parts = urllib.parse.urlsplit(database)
    return {
        "ENVIRONMENT": "production",
        "PROJECT_NAME": "Benchmark",
        "FRONTEND_HOST": "https://dashboard.example.com",
        "BACKEND_CORS_ORIGINS": "https://dashboard.example.com,https://api.example.com",
        "SECRET_KEY": serving.SECRET,
        "FIRST_SUPERUSER": "admin@example.com",
        "FIRST_SUPERUSER_PASSWORD": serving.PASSWORD,
        "POSTGRES_SERVER": parts.hostname or "",
        "POSTGRES_PORT": str(parts.port),
        "POSTGRES_USER": urllib.parse.unquote(parts.username or ""),
        "POSTGRES_PASSWORD": urllib.parse.unquote(parts.password or ""),
        "POSTGRES_DB": parts.path.removeprefix("/"),
        "PYTHONUNBUFFERED": "1",
    }


def _log_in(client: httpx2.Client) -> list[str]:
    account = {"email": serving.EMAIL, "password": serving.PASSWORD}
    client.post(f"{_API}/users/signup", json=account).raise_for_status()
    return logged_in(client, f"{_API}/login/access-token", serving.EMAIL, _ITEMS, _TEAPOT)


PEER = Peer(
    folder="backend",
    install="uv sync",
    environ=_environ,
    prepare=(
        ("python", "app/backend_pre_start.py"),
        ("python", "-c", _TABLES),
        ("python", "app/initial_data.py"),
    ),
    serve=(
        *("fastapi", "run", "--workers", "1"),
        *("--host", places.LOOPBACK, "--port", "{port}", "app/main.py"),
    ),
    live=_HEALTH,
    log_in=_log_in,
    workloads={
        "health": Load(_HEALTH),
        "me": Load(f"{_API}/users/me"),
        "create": Load(_ITEMS, body=_TEAPOT),
        "list of 50": Load(f"{_ITEMS}?limit=50"),
    },
)
