"""``REDIS_URL``: what it takes, what it says of what it does not take, and that no password is ever shown."""

import ssl

import pytest

from sengol_api.adapters.valkey.address import ValkeyAddress
from sengol_api.adapters.valkey.client import ValkeyClient
from sengol_api.adapters.valkey.errors import refusal


@pytest.mark.parametrize(
    ("url", "wanted", "shown"),
    [
        ("redis://localhost", {"host": "localhost"}, "redis://localhost:6379/0"),
        ("redis://10.0.0.1:7000/3", {"host": "10.0.0.1", "port": 7000, "database": 3}, "redis://10.0.0.1:7000/3"),
        ("redis://localhost/?db=2", {"host": "localhost", "database": 2}, "redis://localhost:6379/2"),
        ("redis://[::1]:7000", {"host": "::1", "port": 7000}, "redis://[::1]:7000/0"),
        ("redis://:s%2Fec%40ret@cache", {"host": "cache", "password": "s/ec@ret"}, "redis://cache:6379/0"),
        ("redis://api:secret@cache", {"host": "cache", "username": "api", "password": "secret"}, "redis://cache:6379/0"),
        ("rediss://cache", {"host": "cache", "tls": True}, "rediss://cache:6379/0"),
        ("unix:///run/valkey.sock", {"path": "/run/valkey.sock"}, "unix:///run/valkey.sock"),
        (
            "unix://:secret@/run/v.sock?db=4",
            {"path": "/run/v.sock", "password": "secret", "database": 4},
            "unix:///run/v.sock?db=4",
        ),
    ],
)
def test_a_url_is_read_and_shown_without_user_and_password(url, wanted, shown):
    address = ValkeyAddress.parse(url)
    assert address == ValkeyAddress(**wanted)
    assert str(address) == shown
    assert repr(ValkeyClient(url)) == f"ValkeyClient({shown!r})"
    assert "secret" not in repr(address)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("", "empty"),
        ("localhost:6379", "it takes redis://"),
        ("http://localhost", "it takes redis://"),
        ("redis://", "names no host"),
        ("redis://:secret@", "names no host"),
        ("redis://host:port", "the port is no number"),
        ("redis://host:65536", "the port is no number"),
        ("redis://:sec/ret@host", "%2F"),
        ("redis://:sec#ret@host", "a #, which in a password is written %23"),
        ("redis://host/first", "the database is no number"),
        ("redis://host/-1", "the database is no number"),
        ("redis://host/0?db=x", "the database is no number"),
        ("redis://ho st", "white space"),
        ("redis://host\n", "white space"),
        ("redis://host?timeout=5", "redis:// takes db"),
        ("redis://host?secret", "redis:// takes db"),
        ("rediss://host?ssl_cert_reqs=maybe", "required or none"),
        ("rediss://host?ssl_ca_certs=/no/such/file", "No such file"),
        ("unix://run/valkey.sock", "three slashes"),
        ("unix://", "three slashes"),
    ],
)
def test_what_cannot_be_used_is_refused_with_what_is_wrong(url, says):
    with pytest.raises(ValueError, match=says) as caught:
        ValkeyClient(url)
    assert "sec" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_a_certificate_is_checked_unless_that_is_switched_off():
    checked = ValkeyAddress.parse("rediss://cache").tls_context()
    assert (checked.verify_mode, checked.check_hostname) == (ssl.CERT_REQUIRED, True)
    trusting = ValkeyAddress.parse("rediss://cache?ssl_cert_reqs=none").tls_context()
    assert (trusting.verify_mode, trusting.check_hostname) == (ssl.CERT_NONE, False)
    assert ValkeyAddress.parse("redis://cache").tls_context() is None


@pytest.mark.parametrize(
    ("answer", "code", "says"),
    [
        ("OOM command not allowed when used memory > 'maxmemory'.", "OOM", "maxmemory"),
        ("READONLY You can't write against a read only replica.", "READONLY", "primary"),
        ("WRONGPASS invalid username-password pair", "WRONGPASS", "wrong"),
        ("ERR max number of clients reached", "MAXCLIENTS", "maxclients"),
        ("-DENIED Redis is running in protected mode", "DENIED", "protected"),
        ("ERR unknown command 'X', with args beginning with: 'my secret'", "ERR", "refused SET with ERR"),
        ("my secret", "ERR", "refused SET with ERR"),
        ("", "ERR", "refused SET with ERR"),
    ],
)
def test_an_error_of_the_server_says_what_to_do_and_repeats_nothing_that_was_sent(answer, code, says):
    error = refusal("redis://cache:6379/0", "SET", answer)
    assert error.code == code
    assert str(error).startswith("redis://cache:6379/0 refused SET")
    assert says in str(error)
    assert "secret" not in str(error)
