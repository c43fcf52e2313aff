"""What the application loads: libraries that few use cost their start and memory to those few."""

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
rare = ("sentry_sdk", "authlib", "webauthn", "zxcvbn")
heavy = (*(f"opentelemetry.{part}" for part in heavy), *rare)
print(json.dumps([name for name in sys.modules if name.startswith(heavy)]), file=sys.stderr)
"""
PASSKEYS = {"PASSKEY_RP_ID": "example.com", "PASSKEY_ORIGINS": "https://example.com"}
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
TRACES = {"TRACING_ENDPOINT": "http://127.0.0.1:9/v1/traces"}


@pytest.mark.parametrize(
    ("settings", "loaded"),
    [
        ({}, set()),
        (PASSKEYS, {"webauthn"}),
        (PROVIDERS, {"authlib"}),
        (TRACES, {"opentelemetry.sdk.trace", "opentelemetry.exporter"}),
    ],
    ids=["nothing", "passkeys", "providers", "traces"],
)
def test_what_is_off_is_not_loaded(
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


def test_what_all_processes_need_is_made_before_they_are_forked(tmp_path: Path) -> None:
    code, errors = outcome((sys.executable, "-c", READY), tmp_path)
    assert code == 0, errors
    assert json.loads(errors.splitlines()[-1]) == {"plans": True, "mappers": True}
