"""Who is at the other end."""

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sengol_api.api.addresses import UNKNOWN, client_address, household

PROXIES = (ip_network("10.0.0.0/8"), ip_network("::1/128"))


def seen(peer, *forwarded, trusted=PROXIES):
    headers = [(b"x-forwarded-for", value.encode("latin-1")) for value in forwarded]
    return client_address({"type": "http", "client": (peer, 1) if peer else None, "headers": headers}, trusted)


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("192.0.2.7", [], "192.0.2.7"),
        ("192.0.2.7", ["198.51.100.1"], "192.0.2.7"),
        ("10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["203.0.113.9, 198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["203.0.113.9", "198.51.100.1, 10.2.0.1"], "198.51.100.1"),
        ("10.0.0.1", ["10.3.0.1, 10.2.0.1"], "10.3.0.1"),
        ("10.0.0.1", ["198.51.100.1, nonsense"], "10.0.0.1"),
        ("10.0.0.1", ["nonsense, 198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", [""], "10.0.0.1"),
        ("::1", ["2001:db8::5"], "2001:db8::5"),
        ("::ffff:10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        (None, ["198.51.100.1"], UNKNOWN),
        ("a socket in a file", [], UNKNOWN),
    ],
)
def test_the_first_address_that_is_no_trusted_proxy_is_the_client(peer, forwarded, address):
    assert seen(peer, *forwarded) == address


def test_without_trusted_proxies_the_header_means_nothing():
    assert seen("10.0.0.1", "198.51.100.1", trusted=()) == "10.0.0.1"


@given(st.lists(st.text(st.characters(max_codepoint=255), max_size=30), max_size=5))
def test_whatever_stands_before_the_proxys_own_word_changes_nothing(made_up):
    assert seen("10.0.0.1", *made_up, "198.51.100.1") == "198.51.100.1"


def test_a_long_chain_is_read_from_its_end_only():
    assert seen("10.0.0.1", ", ".join(["198.51.100.1"] + ["10.0.0.2"] * 5000)) == "10.0.0.2"


def test_a_subscriber_of_ipv6_has_one_limit_for_all_of_his_addresses():
    assert household("2001:db8:1:2:3::9") == household("2001:db8:1:2::1") == "2001:db8:1:2::/64"
    assert household("192.0.2.7") == "192.0.2.7"
    assert household(UNKNOWN) == UNKNOWN
