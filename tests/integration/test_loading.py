"""What the application imports: optional libraries cost start time and memory only where used."""

import json
import sys
from pathlib import Path

import pytest

from tests.integration.processes import outcome

SHOW = """
import json, sys
from fastapi_base.main import create_app
create_app()
heavy = ("sdk.trace", "exporter", "instrumentation")
rare = ("sentry_sdk", "authlib", "webauthn", "zxcvbn")  # not the slice: names of packages
heavy = (*(f"opentelemetry.{part}" for part in heavy), *rare)
print(json.dumps([name for name in sys.modules if name.startswith(heavy)]), file=sys.stderr)
"""
# begin slice: passkeys
PASSKEYS = {"PASSKEY_RP_ID": "example.com", "PASSKEY_ORIGINS": "https://example.com"}
# end slice: passkeys
# begin slice: oidc
PROVIDERS = {
    "OIDC_PROVIDERS": json.dumps(
        {
            "acme": {
                "issuer": "https://id.example.com",
                "client_id": "ours",
                "client_secret": "s" * 32,
                "redirect_uri": "https://example.com/back",
            }
        }
    )
}
# end slice: oidc
TRACES = {"TRACING_ENDPOINT": "http://127.0.0.1:9/v1/traces"}


@pytest.mark.parametrize(
    ("settings", "loaded"),
    [
        ({}, set()),
        (PASSKEYS, {"webauthn"}),  # slice: passkeys
        (PROVIDERS, {"authlib"}),  # slice: oidc
        (TRACES, {"opentelemetry.sdk.trace", "opentelemetry.exporter"}),
    ],
)
def test_disabled_features_are_not_imported(
    tmp_path: Path, settings: dict[str, str], loaded: set[str]
) -> None:
    code, errors = outcome((sys.executable, "-c", SHOW), tmp_path, **settings)
    assert code == 0, errors
    found = set(json.loads(errors.splitlines()[-1]))
    assert loaded <= found
    assert bool(found) == bool(loaded)


READY = """
import json, sys
from fastapi_base.main import create_app
from fastapi_base.models.base import SQLModel
app = create_app()
mappers = SQLModel._sa_registry.mappers
made = {
    "plans": app.user_middleware[-1].kwargs["table"].full,
    "mappers": bool(mappers) and all(mapper.configured for mapper in mappers),
}
print(json.dumps(made), file=sys.stderr)
"""


def test_shared_objects_are_created_before_the_fork(tmp_path: Path) -> None:
    code, errors = outcome((sys.executable, "-c", READY), tmp_path)
    assert code == 0, errors
    assert json.loads(errors.splitlines()[-1]) == {"plans": True, "mappers": True}


ADDRESS = """
import importlib, sys
from fastapi_base.core import emails
program = importlib.import_module(sys.argv[1])
if sys.argv[1].endswith("main"):
    program.create_app()
elif sys.argv[1].endswith("forking"):
    # Its input, /dev/null, has ended: it reads its settings, finds no job and returns.
    program.serve((), 1)
print(emails.normal("Ada@corp.local"), file=sys.stderr)
"""


@pytest.mark.parametrize("program", ["main", "tasks.app", "tasks.forking"])
def test_all_programs_agree_on_valid_email_addresses(tmp_path: Path, program: str) -> None:
    command = (sys.executable, "-c", ADDRESS, f"fastapi_base.{program}")
    code, errors = outcome(command, tmp_path, AUTH_EMAIL_ALLOW_SPECIAL_DOMAINS="true")
    assert (code, errors.splitlines()[-1]) == (0, "ada@corp.local"), errors
