"""The deployment files, held against the tools and schemas of those who will read them."""

import shutil
import subprocess
import sys
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from support.due import unavailable

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
MANIFESTS = sorted(path.name for path in (DEPLOY / "kubernetes").glob("*.yaml") if path.name != "kustomization.yaml")


@pytest.fixture(scope="module")
def promtool() -> str:
    """Prometheus's own checker."""
    return shutil.which("promtool") or unavailable("promtool", "no promtool here (Debian: apt-get install prometheus)")


def output(*command: str, folder: Path = DEPLOY) -> str:
    """What a command says, which must succeed."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize("version", ["1.30.0", kubernetes_validate.latest_version()])
@pytest.mark.parametrize("name", MANIFESTS)
def test_every_manifest_keeps_the_published_schema_of_kubernetes(name, version):
    for manifest in yaml.safe_load_all((DEPLOY / "kubernetes" / name).read_text()):
        kubernetes_validate.validate(manifest, version, strict=True)


def test_the_schema_refuses_what_kubernetes_would():
    manifest = next(iter(yaml.safe_load_all((DEPLOY / "kubernetes/deployment.yaml").read_text().split("---")[1])))
    manifest["spec"]["template"]["spec"]["containers"][0]["resources"]["limit"] = {"memory": "1Gi"}
    with pytest.raises(kubernetes_validate.ValidationError, match="limit"):
        kubernetes_validate.validate(manifest, kubernetes_validate.latest_version(), strict=True)


def test_kustomize_applies_every_manifest_but_the_example_of_the_secret():
    applied = yaml.safe_load((DEPLOY / "kubernetes/kustomization.yaml").read_text())["resources"]
    assert sorted(applied) == [name for name in MANIFESTS if name != "secret.example.yaml"]


def test_prometheus_takes_its_configuration(promtool):
    assert "10 rules found" in output(promtool, "check", "config", "prometheus/prometheus.yml")


def test_every_alert_fires_on_what_it_is_for_and_not_before(promtool):
    output(promtool, "test", "rules", "alerts.test.yml", folder=DEPLOY / "prometheus")
    rules = yaml.safe_load((DEPLOY / "prometheus/alerts.yml").read_text())["groups"][0]["rules"]
    tests = yaml.safe_load((DEPLOY / "prometheus/alerts.test.yml").read_text())["tests"]
    fired = {rule["alertname"] for test in tests for rule in test["alert_rule_test"] if rule["exp_alerts"]}
    assert fired == {rule["alert"] for rule in rules}


@pytest.mark.parametrize("name", ["Dockerfile", "dvecdb.Dockerfile"])
def test_the_reader_of_dockerfiles_has_nothing_to_say(name):
    assert output(str(Path(sys.executable).with_name("hadolint")), "--no-color", name) == ""
