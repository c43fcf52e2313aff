"""How a feature flag is evaluated."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastapi_base.core.config import SettingsError, load_settings
from fastapi_base.core.flags import Flag, Override, parse_defaults, share

ADA, BOB = uuid.uuid4(), uuid.uuid4()


@given(st.uuids(), st.floats(0, 100), st.floats(0, 100))
def test_accounts_stay_in_a_growing_rollout(user: uuid.UUID, one: float, two: float) -> None:
    small, large = sorted([one, two])
    if Override(True, percentage=small).applies("f", user):
        assert Override(True, percentage=large).applies("f", user)


def test_rollouts_are_uniform_and_differ_by_flag() -> None:
    users = [uuid.UUID(int=n) for n in range(4000)]
    inside = {name: {u for u in users if share(name, u) < 25} for name in ("a", "b")}
    assert 900 < len(inside["a"]) < 1100
    assert 200 < len(inside["a"] & inside["b"]) < 300


def test_rollout_to_none_and_to_all() -> None:
    assert not Override(True, percentage=0).applies("f", ADA)
    assert not Override(True, percentage=99).applies("f", None)
    assert Override(True).applies("f", None)
    chosen = Override(True, percentage=0, user_ids=frozenset({ADA}))
    assert chosen.applies("f", ADA)
    assert not chosen.applies("f", BOB)
    assert not chosen.applies("f", None)


@pytest.mark.parametrize(
    ("flag", "text", "value"),
    [
        (Flag("f", False, ""), "TRUE", True),
        (Flag("f", 1, ""), "-5", -5),
        (Flag("f", 1.5, ""), "2", 2.0),
        (Flag("f", "x", ""), "a b", "a b"),
    ],
)
def test_values_are_read_by_type(flag: Flag[bool], text: str, value: object) -> None:
    read = flag.parse(text)
    assert read == value
    assert type(read) is type(value)
    assert flag.fits(read)


def test_bool_is_not_a_number() -> None:
    assert not Flag("f", 1, "").fits(True)
    assert not Flag("f", False, "").fits(0)
    assert not Flag("f", 1.0, "").fits(1)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("read-only=yes", "read-only must be true or false"),
        ("no-such=true", "valid names: read-only, word-count"),
        ("read-only", "must be name=value"),
    ],
)
def test_invalid_defaults_fail_at_boot(
    monkeypatch: pytest.MonkeyPatch, given: str, said: str
) -> None:
    monkeypatch.setenv("FEATURE_FLAGS", given)
    with pytest.raises(SettingsError, match=f"FEATURE_FLAGS: .*{said}"):
        load_settings(None)


def test_defaults_of_a_deployment() -> None:
    assert parse_defaults((" read-only = true", "word-count=false")) == {
        "read-only": True,
        "word-count": False,
    }
