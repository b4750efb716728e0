"""The deployment files speak of settings, routes and metrics that exist."""

import json
import re
from pathlib import Path

import pytest
import yaml

from sengol_api.api.app import OPERATIONS
from sengol_api.api.errors import STATUS
from sengol_api.settings import variables

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
SETTINGS = {variable.name for variable in variables()}
METRICS = set(re.findall(r"^\| `([a-z_]+)`", (ROOT / "docs/operations/metrics.md").read_text(encoding="utf-8"), re.MULTILINE))
ROUTES = {operation.path for operation in OPERATIONS} | {"/metrics"}
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))


def named_metrics(text: str) -> set[str]:
    """Metrics of an expression, a histogram without the ending of its series."""
    return {re.sub(r"_(?:bucket|count|sum)$", "", name) for name in re.findall(r"\b(?:sengol|process)_[a-z_]+\b", text)}


def test_every_setting_that_compose_gives_is_one_of_ours():
    assert COMPOSE["x-api"]["environment"].keys() <= SETTINGS


def test_every_setting_that_kubernetes_gives_is_one_of_ours():
    given = [line.partition("=")[0] for line in (DEPLOY / "kubernetes/config.env").read_text().splitlines()]
    secret = yaml.safe_load((DEPLOY / "kubernetes/secret.example.yaml").read_text())["stringData"]
    assert {*given, *secret} <= SETTINGS


@pytest.mark.parametrize("service", COMPOSE["services"])
def test_every_file_that_compose_mounts_is_there(service):
    for mount in COMPOSE["services"][service].get("volumes", []):
        source = mount.split(":")[0]
        assert source in COMPOSE["volumes"] or (DEPLOY / source).exists(), source


def test_every_probe_asks_a_route_that_there_is():
    files = [DEPLOY / "haproxy.cfg", DEPLOY / "Dockerfile", DEPLOY / "kubernetes/deployment.yaml"]
    asked = {path for file in files for path in re.findall(r"(/health/[a-z-]+|/metrics)", file.read_text())}
    assert asked >= {"/health/live", "/health/ready"}
    assert asked <= ROUTES


def test_the_ingress_shows_the_api_and_its_documentation_and_nothing_of_what_operators_see():
    ingress = yaml.safe_load((DEPLOY / "kubernetes/ingress.yaml").read_text())
    paths = {each["path"]: each["pathType"] for each in ingress["spec"]["rules"][0]["http"]["paths"]}
    assert {path for path, kind in paths.items() if kind == "Prefix"} == {"/api", "/admin"}
    assert {path for path, kind in paths.items() if kind == "Exact"} == {"/docs", "/openapi.json", "/health"}
    everything = {operation.path for operation in OPERATIONS if not operation.path.startswith("/health/")}
    assert {path for path in everything if path not in paths and not path.startswith(("/api/", "/admin/"))} == set()
    assert {"defaultBackend"}.isdisjoint(ingress["spec"])
    assert {each["backend"]["service"]["name"] for each in ingress["spec"]["rules"][0]["http"]["paths"]} == {"sengol-api"}


def test_the_ingress_waits_as_long_as_the_service_and_takes_as_much():
    annotations = yaml.safe_load((DEPLOY / "kubernetes/ingress.yaml").read_text())["metadata"]["annotations"]
    given = dict(line.split("=") for line in (DEPLOY / "kubernetes/config.env").read_text().splitlines())
    assert int(annotations["nginx.ingress.kubernetes.io/proxy-read-timeout"]) > int(given["REQUEST_TIMEOUT"]) / 1000
    largest = max(operation.body_limit for operation in OPERATIONS if operation.body is not None)
    assert int(annotations["nginx.ingress.kubernetes.io/proxy-body-size"].removesuffix("m")) * 1024**2 > largest


def test_there_is_time_to_drain_and_to_finish_before_the_pod_is_killed():
    given = dict(line.split("=") for line in (DEPLOY / "kubernetes/config.env").read_text().splitlines())
    pod = next(yaml.safe_load_all((DEPLOY / "kubernetes/deployment.yaml").read_text().split("---")[1]))
    needed = (int(given["SHUTDOWN_DRAIN_DELAY"]) + int(given["SHUTDOWN_TIMEOUT"])) / 1000 + 10
    assert pod["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] >= needed


def test_alerts_and_dashboard_ask_for_metrics_that_there_are():
    alerts = (DEPLOY / "prometheus/alerts.yml").read_text()
    board = json.loads((DEPLOY / "grafana/sengol.json").read_text())
    expressions = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    asked = named_metrics(alerts) | named_metrics("\n".join(expressions))
    assert asked <= METRICS, asked - METRICS
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])


def test_the_page_for_those_on_call_has_every_alert_with_its_severity_and_every_code_of_a_failure():
    page = (ROOT / "docs/operations/on-call.md").read_text(encoding="utf-8")
    rules = yaml.safe_load((DEPLOY / "prometheus/alerts.yml").read_text())["groups"][0]["rules"]
    alerts = re.findall(r"^\| `(Sengol\w+)` \| (\w+) \|", page, re.MULTILINE)
    assert alerts == [(rule["alert"], rule["labels"]["severity"]) for rule in rules]
    told = {
        code: int(status)
        for codes, status in re.findall(r"^\| (`[A-Z`, _]+) \| (\d+) \|", page, re.MULTILINE)
        for code in re.findall(r"\w+", codes)
    }
    failures = {code: status for code, (status, _) in STATUS.items() if status >= 500}
    assert failures.items() <= told.items()
    assert told.items() <= {code: status for code, (status, _) in STATUS.items()}.items()


def test_every_alert_says_what_it_means_and_what_to_do():
    for rule in yaml.safe_load((DEPLOY / "prometheus/alerts.yml").read_text())["groups"][0]["rules"]:
        assert rule["labels"]["severity"] in {"page", "ticket"}
        assert len(rule["annotations"]["description"]) > 20
