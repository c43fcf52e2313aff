"""IP addresses in one canonical form, and which addresses count as one client."""

import pytest

from fastapi_base.utils.addresses import Networks, forwarded, network, plain


@pytest.mark.parametrize(
    ("address", "party"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        (None, "unknown"),
        ("a socket", "unknown"),
    ],
)
def test_client_network_of_an_address(address: str | None, party: str) -> None:
    assert network(address) == party


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("192.0.2", None),
        ("", None),
        ("1" * 1000, None),
    ],
)
def test_addresses_have_one_form(text: str, address: str | None) -> None:
    assert plain(text) == address


@pytest.mark.parametrize(
    ("element", "address"),
    [
        (" 192.0.2.7 ", "192.0.2.7"),
        ("192.0.2.7:80", "192.0.2.7"),
        ("::1", "::1"),
        ("[::1]", "::1"),
        ("[::1]:80", "::1"),
        ("[fe80::1%25eth0]:80", "fe80::1"),
        ("[::ffff:192.0.2.7]:80", "192.0.2.7"),
        ('for="[2001:db8::1]:4711"', "2001:db8::1"),
        ("For=192.0.2.7;proto=http", "192.0.2.7"),
        ("unknown", None),
        ("_hidden", None),
        ("example.com:80", None),
        ("", None),
    ],
)
def test_elements_of_forwarded_for(element: str, address: str | None) -> None:
    assert forwarded(element) == address


def test_networks_know_mapped_addresses() -> None:
    some = Networks(["10.0.0.0/8", "::ffff:192.168.1.0/120", "2001:db8::7", ""])
    known = ("10.1.2.3", "192.168.1.9", "2001:db8::7")
    assert all(address in some for address in known)
    assert not any(address in some for address in ("192.168.2.9", "2001:db8::8", "a socket", None))
    assert "10.1.2.3" not in Networks([""])
    assert None in Networks(["*"])
    with pytest.raises(ValueError, match="example"):
        Networks(["example.com"])
