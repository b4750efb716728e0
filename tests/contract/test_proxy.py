"""What the real proxy, with the configuration that is shipped, shows to whom."""

import json
import os
import shutil
import socket
from collections.abc import Iterator
from http.client import HTTPResponse

import pytest

from sengol_api.api.app import OPERATIONS
from sengol_api.api.status import page
from support.due import unavailable
from support.haproxy import Haproxy
from support.tiny_http import Reply, TinyHttp

OF_OPERATORS = [
    "/metrics",
    *map(page.path_of, page.FILES),
    page.STREAM,
    "/health/detailed",
    "/health/cache",
    "/health/circuit-breakers",
]
OPEN = ["/health", "/docs", "/openapi.json", "/api/review", "/api/statistics", "/statuses"]
OUTSIDE = ["203.0.113.7", "172.32.0.1", "11.0.0.1", "192.169.0.1", "2001:db8::7"]
INSIDE = ["127.0.0.1", "10.1.2.3", "172.16.0.9", "172.31.255.1", "192.168.1.1", "::1", "fd00::7"]


class Before:
    """The proxy before one replica that answers everything."""

    def __init__(self, folder) -> None:
        self.reached: list[str] = []
        self._replica = TinyHttp(self._answer, name="replica")
        self.proxy = Haproxy(folder, [int(self._replica.url.rpartition(":")[2])])
        self.proxy.start()

    def _answer(self, request, _connection) -> Reply:
        self.reached.append(request.target)
        return Reply(200, b'{"from":"the replica"}')

    def ask(self, target: str, source: str = "127.0.0.1", *, method: str = "GET", headers: str = "") -> tuple[int, bytes]:
        """Status and body of what the proxy tells somebody at this address."""
        family = "TCP6" if ":" in source else "TCP4"
        here = "::1" if ":" in source else "127.0.0.1"
        with socket.create_connection(("127.0.0.1", self.proxy.told_port), timeout=10) as line:
            line.sendall(f"PROXY {family} {source} {here} 40000 4000\r\n".encode())
            line.sendall(f"{method} {target} HTTP/1.1\r\nHost: api\r\nConnection: close\r\n{headers}\r\n".encode())
            answer = HTTPResponse(line, method=method)
            answer.begin()
            return answer.status, answer.read()

    def close(self) -> None:
        self.proxy.kill()
        self._replica.close()


@pytest.fixture(scope="module")
def before(tmp_path_factory) -> Iterator[Before]:
    if shutil.which("haproxy", path=os.environ.get("PATH", "") + ":/usr/sbin") is None:
        unavailable("haproxy", "no haproxy here (Debian and Ubuntu: apt-get install haproxy)")
    made = Before(tmp_path_factory.mktemp("proxy"))
    yield made
    made.close()


def refused(before, *question, **more) -> bool:
    """Whether the proxy says, in the shape of all errors, that there is no such route, and the replica hears nothing."""
    count = sum("health/ready" not in target for target in before.reached)
    status, body = before.ask(*question, **more)
    if status == 200:
        assert body == b'{"from":"the replica"}'
        return False
    assert status == 404
    told = json.loads(body)
    assert (told["code"], told["statusCode"]) == ("NOT_FOUND", 404)
    assert told["requestId"]
    assert sum("health/ready" not in target for target in before.reached) == count
    return True


def test_the_routes_of_operators_are_all_that_there_are():
    known = {operation.path for operation in OPERATIONS}
    assert {path for path in known if path.startswith("/health/")} <= {*OF_OPERATORS, "/health/live", "/health/ready"}


@pytest.mark.parametrize("source", OUTSIDE)
def test_from_outside_there_are_no_metrics_no_status_and_no_health_in_detail(before, source):
    assert [path for path in OF_OPERATORS if not refused(before, path, source)] == []


@pytest.mark.parametrize("source", INSIDE)
def test_from_private_networks_they_are_there(before, source):
    assert [path for path in OF_OPERATORS if refused(before, path, source)] == []


@pytest.mark.parametrize("path", OPEN)
def test_everything_else_is_there_for_all(before, path):
    assert not refused(before, path, OUTSIDE[0])


@pytest.mark.parametrize(
    "target",
    [
        "/metrics?x=1",
        "/%6detrics",
        "/%73tatus/stream",
        "/status%2fstream",
        "/%68ealth%2Fdetailed",
        "http://api/metrics",
        "/metrics?/api",
    ],
)
def test_another_way_to_write_it_opens_nothing(before, target):
    assert refused(before, target, OUTSIDE[0])


@pytest.mark.parametrize("method", ["POST", "PURGE", "OPTIONS"])
def test_another_method_opens_nothing(before, method):
    assert refused(before, "/metrics", OUTSIDE[0], method=method)


@pytest.mark.parametrize(
    ("header", "forwarded"),
    [("X-Forwarded-For", "203.0.113.7"), ("x-forwarded-for", "10.0.0.1"), ("X-Forwarded-For", ""), ("Forwarded", "for=10.0.0.1")],
)
@pytest.mark.parametrize("path", ["/metrics", "/status"])
def test_what_another_proxy_passes_on_counts_as_from_outside(before, path, header, forwarded):
    assert refused(before, path, "10.0.0.2", headers=f"{header}: {forwarded}\r\n")


def test_an_address_in_a_header_is_not_believed(before):
    assert refused(before, "/metrics", OUTSIDE[0], headers="X-Forwarded-For: 10.0.0.1\r\nX-Real-IP: 127.0.0.1\r\n")
