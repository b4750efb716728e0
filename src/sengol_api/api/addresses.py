"""Who is at the other end: the client's address, also behind proxies that are trusted to tell it."""

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

from starlette.datastructures import Headers
from starlette.types import Scope

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address
MOST_HOPS: Final = 20
KNOWN: Final = 4096
"""Addresses that are known by heart: to read one takes as long as a tenth of a small request."""
UNKNOWN: Final = "unknown"


def client_address(scope: Scope, trusted: Sequence[Network]) -> str:
    """The address of the client, as a text.

    X-Forwarded-For is read from its end, since each proxy adds the address that it saw there: the first one that is no trusted
    proxy is the client. What stands before it may be made up, and is not read. Without trusted proxies the header means nothing.
    """
    peer = _parsed((scope.get("client") or (UNKNOWN, 0))[0])
    if peer is None or not _is_among(peer, trusted):
        return UNKNOWN if peer is None else str(peer)
    hops = ",".join(Headers(scope=scope).getlist("x-forwarded-for")).split(",")[-MOST_HOPS:]
    for hop in reversed(hops):
        told = _parsed(hop.strip())
        if told is None:
            break  # a proxy that is trusted does not say such a thing: somebody before it did
        peer = told
        if not _is_among(peer, trusted):
            break
    return str(peer)


def household(address: str) -> str:
    """What shares a limit: an IPv4 address, or the /64 that one subscriber of IPv6 has to himself."""
    parsed = _parsed(address)
    if isinstance(parsed, IPv6Address):
        return str(IPv6Network((parsed, 64), strict=False))
    return address


@lru_cache(maxsize=KNOWN)
def _parsed(text: str) -> Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _is_among(address: Address, trusted: Sequence[Network]) -> bool:
    return any(address in network for network in trusted)
