"""Parsing quotas from settings."""

import pytest

from fastapi_base.core.config import RateLimitSettings, SettingsError, load_settings
from fastapi_base.core.config.quotas import Quota, RouteQuota


def test_quotas_are_parsed() -> None:
    assert Quota.parse("600/minute") == Quota(600, 60)
    assert Quota.parse(" 1/day ").interval == 86_400_000_000
    route = RouteQuota.parse("POST /api/v1/jobs=60/hour")
    assert (route.prefix, route.quota) == ("POST /api/v1/jobs", Quota(60, 3600))


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("PRINCIPAL", "600 per minute", "must look like 600/minute"),
        ("ADDRESS", "0/minute", "must look like 600/minute"),
        ("ROUTES", "/api/v1/jobs=1/day", "must look like POST /api/v1/jobs=60/minute"),
        ("ROUTES", "POST /api=1/day,POST /x=often", "must look like 600/minute"),
        ("EXEMPT", "10.0.0.0/8,localhost", "'localhost' must look like 10.0.0.0/8"),
    ],
)
def test_invalid_quotas_fail_at_boot_by_name(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    monkeypatch.setenv(f"RATE_LIMIT_{name}", value)
    with pytest.raises(SettingsError, match=f"RATE_LIMIT_{name}: .*{said}"):
        load_settings(None)


def test_lists_are_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RATE_LIMIT_EXEMPT", "10.0.0.0/8, 2001:db8::/32")
    assert RateLimitSettings().exempt == ("10.0.0.0/8", "2001:db8::/32")
