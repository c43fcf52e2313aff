"""A real RabbitMQ, from locked Debian packages."""

import os
import secrets
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ops.dev import guard, packages, places, waiting

READY_SECONDS = 120.0
NODE = "test@localhost"
CONFIGURATION = """\
listeners.tcp.1 = {loopback}:{port}
default_user = app
default_pass = {password}
log.console = true
log.file = false
"""
ENCRYPTION = """\
listeners.tcp = none
ssl_options.cacertfile = {certificate}
ssl_options.certfile = {certificate}
ssl_options.keyfile = {key}
ssl_options.verify = verify_none
"""


@contextmanager
def rabbitmq(certificate: Path | None = None, key: Path | None = None) -> Iterator[str]:
    """An empty, separate server; yields its amqp:// URL.

    With a certificate it accepts only TLS, and the URL is amqps://.
    """
    root = packages.root("rabbitmq", "RabbitMQ")
    (home,) = (root / "usr/lib/rabbitmq/lib").iterdir()
    (runtime,) = (root / "usr/lib/erlang").glob("erts-*")
    port, directory, peers = (places.free_port() for _ in range(3))
    password = secrets.token_urlsafe(12)
    with tempfile.TemporaryDirectory(prefix="rabbitmq-", ignore_cleanup_errors=True) as place:
        folder = Path(place)
        configuration = folder / "rabbitmq.conf"
        text = CONFIGURATION.format(loopback=places.LOOPBACK, port=port, password=password)
        if certificate:
            text = text.replace("listeners.tcp.1", "listeners.ssl.1") + ENCRYPTION.format(
                certificate=certificate, key=key
            )
        configuration.write_text(text)
        plugins = folder / "plugins"
        plugins.write_text("[].\n")
        environ = {
            "HOME": place,
            "LD_LIBRARY_PATH": os.pathsep.join(map(str, packages.libraries(root))),
            "ROOTDIR": str(root / "usr/lib/erlang"),
            "BINDIR": str(runtime / "bin"),
            "EMU": "beam",
            "PROGNAME": "erl",
            "ERL_LIBS": str(home / "plugins"),
            "ERL_EPMD_PORT": str(directory),
            "ERL_EPMD_ADDRESS": places.LOOPBACK,
            "RABBITMQ_HOME": str(home),
            "RABBITMQ_CONFIG_FILE": str(configuration),
            "RABBITMQ_CONF_ENV_FILE": os.devnull,
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(plugins),
            "RABBITMQ_FEATURE_FLAGS_FILE": str(folder / "features"),
            "RABBITMQ_GENERATED_CONFIG_DIR": place,
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_MNESIA_BASE": place,
            "RABBITMQ_NODENAME": NODE,
            "RABBITMQ_PID_FILE": str(folder / "pid"),
            "RABBITMQ_SCHEMA_DIR": place,
        }
        # Erlang's port mapper, which would stay behind if Erlang started it.
        names = [str(runtime / "bin/epmd"), "-port", str(directory), "-address", places.LOOPBACK]
        log = folder / "log"
        with (
            guard.process(names, folder / "epmd.log", signal.SIGTERM, environ=environ),
            guard.process(
                _command(home, runtime, peers), log, signal.SIGTERM, environ=environ
            ) as p,
        ):
            waiting.until_serves(p, log, lambda: places.listens(port), "RabbitMQ", READY_SECONDS)
            yield f"{'amqps' if certificate else 'amqp'}://app:{password}@{places.LOOPBACK}:{port}//"


def _command(home: Path, runtime: Path, peers: int) -> list[str]:
    """The command of RabbitMQ's script, which needs a shell that finds unpacked packages."""
    kernel = {
        "prevent_overlapping_partitions": "false",
        "inet_dist_use_interface": "{127,0,0,1}",
        "inet_dist_listen_min": str(peers),
        "inet_dist_listen_max": str(peers),
    }
    return [
        str(runtime / "bin/erlexec"),
        *("-pa", str(home / "ebin"), "-noinput", "+W", "w"),
        *("-s", "rabbit", "boot", "-boot", "start_sasl"),
        *("-sname", NODE, "-start_epmd", "false"),
        *("-syslog", "logger", "[]", "-syslog", "syslog_error_logger", "false"),
        *(word for name, value in kernel.items() for word in ("-kernel", name, value)),
    ]
