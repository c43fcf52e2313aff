"""The format of API keys."""

import re
import zlib

from hypothesis import given
from hypothesis import strategies as st

from fastapi_base.core.security import api_key


def test_new_keys_are_well_formed_and_unique() -> None:
    keys = [api_key.new_key() for _ in range(100)]
    assert all(api_key.well_formed(key.value) for key in keys)
    assert len({key.value for key in keys}) == 100
    assert all(re.fullmatch(r"fb_[0-9A-Za-z]{49}", key.value) for key in keys)
    assert len(keys[0].digest) == 32
    assert keys[0].value not in repr(keys[0])


def test_keys_are_distinguished_from_other_tokens() -> None:
    assert api_key.claims_to_be(api_key.new_key().value)
    assert api_key.claims_to_be("fb_broken")
    assert not api_key.claims_to_be("rt_a-refresh-token")


def test_checksum_is_crc32_in_base_62() -> None:
    digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    number = 0
    for digit in api_key.checksum("fb_abc"):
        number = number * 62 + digits.index(digit)
    assert number == zlib.crc32(b"fb_abc")
    assert len(api_key.checksum("")) == 6


@given(st.data())
def test_checksum_detects_one_changed_character(data: st.DataObject) -> None:
    key = api_key.new_key().value
    at = data.draw(st.integers(0, len(key) - 1))
    other = data.draw(st.sampled_from("0aZ_-. é"))
    changed = key[:at] + other + key[at + 1 :]
    assert api_key.well_formed(changed) == (changed == key)


@given(st.text())
def test_malformed_keys_are_rejected(text: str) -> None:
    assert not api_key.well_formed(text)
    assert not api_key.well_formed("fb_" + text)
