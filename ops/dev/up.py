"""Runs the whole service in the foreground, with real PostgreSQL and Redis, without containers.

    make up [RELOAD=1]        or: python -m ops.dev.up [--reload] [--data FOLDER] ...

Ctrl-C stops all processes in order; a second Ctrl-C kills them. Data is stored in .local (or
UP_DATA). Settings are read from the environment and from .env, except that DATABASE_URL and
REDIS_URL point to the embedded servers. If AUTH_JWT_SECRET or AUTH_ENCRYPTION_KEY is not set, a key
generated for the data directory is used.
"""

import argparse
import os
import sys
import webbrowser
from contextlib import nullcontext
from pathlib import Path

from pydantic import ValidationError

from fastapi_base.core.config import (
    ENV_FILE,
    AuthSettings,
    Settings,
    SettingsError,
    load_settings,
    variable,
)
from ops.dev import data, places, terminal
from ops.dev.changes import Changes
from ops.dev.errors import Interrupted, UpError
from ops.dev.postgres import Postgres
from ops.dev.processes import Supervisor
from ops.dev.redis import Redis
from ops.dev.stack import DATABASE, ROOT, Stack
from ops.dev.status import facts, server

SERVICE = ("api", "relay", "worker", "beat")
NAMES = ("postgres", "redis", "migrate", *SERVICE)
# What other programs need to use the servers of this run; they do not listen at its ports.
SHARED = ("DATABASE_URL", "REDIS_URL", "MAIL_FOLDER")
ADMIN = "admin@example.com"
CONSOLE = "/console"  # slice: console


def main(arguments: list[str] | None = None) -> int:
    """Run until stopped. Returns 0 after Ctrl-C, and 1 with a message after an error."""
    options = _options(arguments)
    try:
        return _up(options)
    except (UpError, SettingsError) as error:
        terminal.error(str(error))
        return 1
    except Interrupted:
        return 0


def _options(arguments: list[str] | None) -> argparse.Namespace:
    environ = os.environ
    parser = argparse.ArgumentParser(
        prog="python -m ops.dev.up",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--data",
        type=Path,
        default=Path(environ.get("UP_DATA") or ROOT / ".local"),
        help="data directory (UP_DATA; default .local)",
    )
    parser.add_argument(
        "--postgres-port",
        type=int,
        default=environ.get("UP_POSTGRES_PORT") or 54320,
        help="loopback port of PostgreSQL, 0 for any free port (UP_POSTGRES_PORT; default 54320)",
    )
    parser.add_argument(
        "--redis-port",
        type=int,
        default=environ.get("UP_REDIS_PORT") or 63790,
        help="loopback port of Redis, 0 for any free port (UP_REDIS_PORT; default 63790)",
    )
    parser.add_argument(
        "--status-port",
        type=int,
        default=environ.get("UP_STATUS_PORT") or 8001,
        help="loopback port of the status page, 0 for any free port (UP_STATUS_PORT; default 8001)",
    )
    parser.add_argument(
        "--reload",
        action="store_true",
        default=environ.get("RELOAD", "") not in ("", "0"),
        help="restart API, relay, worker and Beat when the code changes (RELOAD=1)",
    )
    parser.add_argument(
        "--without",
        default=environ.get("UP_WITHOUT", ""),
        help=f"processes not to start, such as api,worker; of {', '.join(SERVICE)} (UP_WITHOUT)",
    )
    options = parser.parse_args(arguments)
    options.without = options.without.replace(",", " ").split()
    if unknown := set(options.without) - set(SERVICE):
        parser.error(f"--without: {', '.join(sorted(unknown))}: must be of {', '.join(SERVICE)}")
    return options


def _up(options: argparse.Namespace) -> int:
    os.chdir(ROOT)
    folder: Path = options.data.absolute()
    out = terminal.Terminal(sys.stdout, os.environ, NAMES)
    with data.claim(folder) as lock:
        kept = data.passwords(folder)
        # For this process and its children.
        keys = _keys(kept)
        os.environ.update(keys)
        settings = load_settings()
        # Shown in the banner unless the user chose them.
        email = str(settings.first_admin.email or ADMIN)
        chosen = settings.first_admin.password
        password = chosen.get_secret_value() if chosen else kept.admin
        mails = settings.mail.folder or folder / "mails"
        further = {
            "FIRST_ADMIN_EMAIL": email,
            "FIRST_ADMIN_PASSWORD": password,
            **({} if settings.mail.host else {"MAIL_FOLDER": str(mails)}),
        }
        pages = ""
        # begin slice: console
        pages = settings.console.path or CONSOLE
        further["CONSOLE_PATH"] = pages
        # end slice: console
        stack = _stack(options, settings, kept, folder, further)
        status_port = places.port(options.status_port, "the status page", "UP_STATUS_PORT")
        watching = Changes(ROOT / "src") if options.reload else nullcontext()
        with Supervisor(out, keep=(lock,)) as supervisor, watching as changes:
            environ = stack.start(supervisor, kept.service)
            shared = {name: environ[name] for name in SHARED if name in environ}
            env = data.write_settings(folder, {**shared, **keys})
            shown = "as set in FIRST_ADMIN_PASSWORD" if chosen else password
            # Errors of servers that were not ready yet no longer matter.
            out.forget()
            status = f"http://127.0.0.1:{status_port}"
            kept_mails = None if settings.mail.host else mails
            where = settings.mail.host or str(mails)
            prefix = settings.api.path_prefix
            console = f"http://{stack.host}:{stack.port}{prefix}{pages}" if pages else ""
            out.block(_banner(stack, status, console, folder, env, email, shown, where))
            place = _place(stack, console, kept_mails, folder, email)

            def look() -> facts.Status:
                return facts.look(place, supervisor.seen(), out.troubles())

            with server.serving(status_port, look, kept_mails):
                if out.watched:
                    webbrowser.open(status)
                supervisor.wait(changes)
        out.say(f"stopped; data is in {folder}")
    return 0


def _stack(
    options: argparse.Namespace,
    settings: Settings,
    kept: data.Secrets,
    folder: Path,
    further: dict[str, str],
) -> Stack:
    """The servers and processes on free ports. Raises UpError if a chosen port is taken."""
    port = places.port(settings.api.port, "the API", "API_PORT")
    return Stack(
        Postgres(
            folder / "postgres",
            places.port(options.postgres_port, "PostgreSQL", "UP_POSTGRES_PORT"),
            kept.postgres,
        ),
        Redis(
            places.port(options.redis_port, "Redis", "UP_REDIS_PORT"),
            kept.redis,
            folder / "redis",
        ),
        "127.0.0.1" if settings.api.host in ("0.0.0.0", "::") else settings.api.host,
        port,
        (
            places.port(settings.metrics.port, "the metrics", "METRICS_PORT"),
            places.free_port(),
        ),
        {"API_PORT": str(port), **further},
        options.without,
    )


def _keys(kept: data.Secrets) -> dict[str, str]:
    """The generated keys for settings that neither the environment nor .env sets."""
    try:
        chosen = AuthSettings(_env_file=ENV_FILE).model_fields_set  # type: ignore[call-arg]
    except ValidationError:
        # load_settings() reports the error.
        return {}
    own = {"jwt_secret": kept.signing, "encryption_key": kept.encryption}
    return {variable(AuthSettings, name): key for name, key in own.items() if name not in chosen}


def _place(stack: Stack, console: str, mails: Path | None, folder: Path, email: str) -> facts.Place:
    base = f"http://{stack.host}:{stack.port}"
    return facts.Place(
        stack.host,
        stack.port,
        stack.postgres.url(DATABASE),
        mails,
        (
            *([("Console", console)] if console else []),
            ("API documentation", f"{base}/docs"),
            ("OpenAPI", f"{base}/openapi.json"),
            ("Health", f"{base}/health/ready"),
            ("Metrics of the API", f"http://127.0.0.1:{stack.metrics[0]}/metrics"),
            ("Metrics of the worker", f"http://127.0.0.1:{stack.metrics[1]}/metrics"),
        ),
        (
            ("API", base),
            ("admin", email),
            ("data", str(folder)),
            ("mails", str(mails or "sent by MAIL_HOST")),
            ("PostgreSQL", f"127.0.0.1:{stack.postgres.port}/{DATABASE}"),
            ("Redis", f"127.0.0.1:{stack.redis.port}"),
        ),
    )


def _banner(
    stack: Stack,
    status: str,
    console: str,
    folder: Path,
    env: Path,
    email: str,
    password: str,
    mails: str,
) -> str:
    base = f"http://{stack.host}:{stack.port}"
    metrics = [f"http://127.0.0.1:{number}/metrics" for number in stack.metrics]
    rule = "-" * 78
    return f"""{rule}
  status    {status}
  API       {base}
  docs      {base}/docs
  console   {console or "off"}
  health    {base}/health/ready
  metrics   {metrics[0]}, worker: {metrics[1]}
  admin     {email}, password: {password}
  log in    curl {base}/api/v1/auth/login \\
              --data-urlencode username={email} --data-urlencode 'password={password}'
  data      {folder}
  mails     {mails}
  database  {stack.postgres.url(DATABASE)}
  settings  {env}, for commands and debuggers

  Ctrl-C stops everything.
{rule}"""


if __name__ == "__main__":
    sys.exit(main())
