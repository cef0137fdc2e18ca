"""The chart is rendered by the real helm: it carries our rules and dashboards, and a configuration that runs."""

import json
import shutil
import subprocess
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
import yaml
from harness import BIN, ROOT

pytestmark = [pytest.mark.e2e, pytest.mark.downloads]

_CUSTOM = {
    "monitoring.coreos.com": (
        "github.com/prometheus-operator/prometheus-operator@v0.85.0",
        "example/prometheus-operator-crd",
    ),
    "external-secrets.io": ("github.com/external-secrets/external-secrets@v1.3.2", "config/crds/bases"),
}
"""Groups of resources that Kubernetes does not define: the Go module that does, and where in it."""
CHART = ROOT / "deploy/helm/hashmargin"
EVERYTHING: dict[str, Any] = {
    "shards": 4,
    "secrets": ["rig-passwords"],
    "envFrom": [{"secretRef": {"name": "more"}}],
    "podMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
    "prometheusRule": {"enabled": True},
    "dashboards": {"enabled": True},
    "podDisruptionBudget": {"enabled": True},
    "networkPolicy": {"enabled": True, "to": [{"ipBlock": {"cidr": "10.1.0.0/16"}}]},
    "resources": {"requests": {"cpu": "1"}},
    "persistence": {"enabled": False},
    "config": {
        "site": "prairie-1",
        "fleet": {"rigs": [{"name": "a-1", "address": "127.80.251.1"}]},
        "tariffs": {"ppa": {"kind": "fixed", "usd_per_kilowatt_hour": 0.05}},
    },
}


def helm(*arguments: str | Path, fails: bool = False) -> str:
    assert shutil.which("helm"), "helm is not installed: .ci/run says how"
    done = subprocess.run(
        ["helm", *arguments, "--kube-version", "1.31"], capture_output=True, text=True, check=False, timeout=300
    )
    assert (done.returncode != 0) is fails, done.stdout + done.stderr
    return done.stdout + done.stderr if fails else done.stdout


@pytest.fixture
def everything(tmp_path: Path) -> dict[str, list[dict[str, Any]]]:
    """All that the chart makes with every option on, by kind."""
    values = tmp_path / "values.yaml"
    values.write_text(yaml.safe_dump(EVERYTHING), encoding="utf-8")
    rendered: dict[str, list[dict[str, Any]]] = {}
    for document in yaml.safe_load_all(helm("template", "site", CHART, "--namespace", "mining", "--values", values)):
        if document:
            rendered.setdefault(document["kind"], []).append(document)
    return rendered


def test_the_chart_is_sound(tmp_path: Path) -> None:
    values = tmp_path / "values.yaml"
    values.write_text(yaml.safe_dump(EVERYTHING), encoding="utf-8")
    helm("lint", "--strict", CHART, "--values", values)


@pytest.mark.parametrize("values", sorted((CHART / "ci").glob("*.yaml")), ids=lambda path: path.stem)
def test_each_example_is_sound_and_its_configuration_has_known_keys(values: Path, tmp_path: Path) -> None:
    helm("lint", "--strict", CHART, "--values", values)
    rendered = [each for each in yaml.safe_load_all(helm("template", "site", CHART, "--values", values)) if each]
    kinds = [each["kind"] for each in rendered]
    assert {"StatefulSet", "Service", "ConfigMap", "ServiceAccount"} <= set(kinds)
    (shards,) = (each for each in rendered if each["kind"] == "StatefulSet")
    pod = shards["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    claims = {each["metadata"]["name"] for each in shards["spec"].get("volumeClaimTemplates", [])}
    volumes = {each["name"] for each in pod["volumes"]} | claims
    assert {mount["name"] for mount in container["volumeMounts"]} == volumes
    expected = {
        "tls-and-login-values": {"ServiceMonitor"},
        "operator-values": {"PodMonitor", "PrometheusRule"},
        "secrets-values": {"ExternalSecret"},
        "ingress-values": {"Ingress"},
        "locked-down-values": {"NetworkPolicy"},
    }
    assert expected.get(values.stem, set()) <= set(kinds)
    if values.stem == "tls-and-login-values":
        (monitor,) = (each for each in rendered if each["kind"] == "ServiceMonitor")
        (endpoint,) = monitor["spec"]["endpoints"]
        assert (endpoint["scheme"], endpoint["basicAuth"]["username"]["name"]) == ("https", "scraper")
        assert container["livenessProbe"]["httpGet"]["scheme"] == "HTTPS"
    if values.stem == "secrets-values":
        (external,) = (each for each in rendered if each["kind"] == "ExternalSecret")
        assert external["spec"]["data"][0]["remoteRef"]["key"] == "mining/prairie-1"
    if values.stem == "locked-down-values":
        assert shards["metadata"]["name"] == "prairie-1-exporter"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("config.flet.csv=x", "'flet' not allowed"),
        ("config.fleet.logins.rigs.password=hunter2", "a secret does not belong here"),
        ("config.network.password=hunter2", "a secret does not belong here"),
        ("config.polling.pace=30s", "'pace' not allowed"),
        ("ingress.enabled=true", "ingress.host"),
        ("podMonitor.enabled=true,serviceMonitor.enabled=true", "counted twice"),
    ],
)
def test_a_configuration_that_cannot_be_meant_is_refused(wrong: str, said: str) -> None:
    assert said in helm("template", "site", CHART, "--set", f"config.site=prairie-1,{wrong}", fails=True)


def test_the_configuration_of_the_examples_is_accepted(tmp_path: Path) -> None:
    site = yaml.safe_load((ROOT / "deploy/examples/site.yml").read_text(encoding="utf-8"))
    assert site["fleet"]["logins"]["factory"].pop("password")  # which a chart takes from a secret
    (tmp_path / "values.yaml").write_text(yaml.safe_dump({"config": site}), encoding="utf-8")
    helm("template", "site", CHART, "--values", tmp_path / "values.yaml")


@pytest.mark.parametrize(
    "wrong", ["shards=0", "config.site=null", "podMonitor.interval=soon", "serviceMonitor.interval=soon", "replicas=2"]
)
def test_values_that_cannot_be_meant_are_refused(wrong: str) -> None:
    refused = helm("template", "site", CHART, "--set", f"config.site=prairie-1,{wrong}", fails=True)
    assert wrong.partition("=")[0].split(".")[-1] in refused


def test_shards_run_unprivileged_with_the_configuration(
    everything: dict[str, list[dict[str, Any]]], tmp_path: Path
) -> None:
    (shards,) = everything["StatefulSet"]
    pod = shards["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert shards["spec"]["replicas"] == 4
    assert {"--shard=ordinal", "--total-shards=4"} <= set(container["args"])
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["securityContext"]["runAsUser"] == 65532
    site = next(each for each in everything["ConfigMap"] if "site.yml" in each["data"])["data"]["site.yml"]
    (tmp_path / "site.yml").write_text(site, encoding="utf-8")
    checked = subprocess.run(
        [BIN / "hashmargin", "check-config", "--config.file", tmp_path / "site.yml"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stderr
    flags = subprocess.run([BIN / "hashmargin", "run", "--help"], capture_output=True, text=True, check=True).stdout
    assert all(argument.partition("=")[0] in flags for argument in container["args"][1:])


def test_rules_and_dashboards_are_ours(everything: dict[str, list[dict[str, Any]]], tmp_path: Path) -> None:
    (rules,) = everything["PrometheusRule"]
    files = [*(ROOT / "deploy/prometheus").glob("rules/*.yml"), *(ROOT / "deploy/prometheus").glob("alerts/*.yml")]
    ours = {
        group["name"]: group for file in files for group in yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]
    }
    assert {group["name"]: group for group in rules["spec"]["groups"]} == ours
    carried = {name: text for each in everything["ConfigMap"] for name, text in each["data"].items()}
    for file in (ROOT / "grafana/dashboards").glob("*.json"):
        assert carried[file.name].strip() == file.read_text(encoding="utf-8").strip()


def test_pods_are_found_under_their_site(everything: dict[str, list[dict[str, Any]]]) -> None:
    (monitor,) = everything["PodMonitor"]
    (shards,) = everything["StatefulSet"]
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    assert endpoint["relabelings"] == [{"targetLabel": "site", "replacement": "prairie-1"}]
    wanted = monitor["spec"]["selector"]["matchLabels"].items()
    assert wanted <= shards["spec"]["template"]["metadata"]["labels"].items()
    assert "ServiceMonitor" not in everything, "both would count every rig twice"


def test_the_service_is_found_under_its_site() -> None:
    monitor = ("--set", "config.site=prairie-1,serviceMonitor.enabled=true,serviceMonitor.labels.release=prometheus")
    rendered = list(yaml.safe_load_all(helm("template", "site", CHART, *monitor)))
    made = {document["kind"]: document for document in rendered if document}
    (endpoint,) = made["ServiceMonitor"]["spec"]["endpoints"]
    assert endpoint == {
        "port": "http",
        "interval": "15s",
        "scheme": "http",
        "relabelings": [{"targetLabel": "site", "replacement": "prairie-1"}],
    }
    assert endpoint["port"] in {port["name"] for port in made["Service"]["spec"]["ports"]}
    assert made["ServiceMonitor"]["metadata"]["labels"]["release"] == "prometheus"
    wanted = made["ServiceMonitor"]["spec"]["selector"]["matchLabels"].items()
    assert wanted <= made["Service"]["metadata"]["labels"].items()
    assert "PodMonitor" not in made


def test_kubernetes_knows_all_that_it_makes(everything: dict[str, list[dict[str, Any]]], tmp_path: Path) -> None:
    made = [document for documents in everything.values() for document in documents]
    own = [document for document in made if document["apiVersion"].partition("/")[0] not in _CUSTOM]
    assert {"StatefulSet", "NetworkPolicy", "PodDisruptionBudget"} <= {document["kind"] for document in own}
    for values in sorted((CHART / "ci").glob("*.yaml")):
        rendered = yaml.safe_load_all(helm("template", "site", CHART, "--values", values))
        own += [each for each in rendered if each and each["apiVersion"].partition("/")[0] not in _CUSTOM]
    (tmp_path / "made.yaml").write_text(yaml.safe_dump_all(own), encoding="utf-8")
    validate = (BIN / "uv", "tool", "run", "--from", "kubernetes-validate==1.37.0", "kubernetes-validate")
    done = subprocess.run(
        (*validate, "--kubernetes-version", "1.31", "--strict", tmp_path / "made.yaml"),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert said.count(" passed for resource ") == len(own)


def test_operators_know_what_it_makes_for_them(everything: dict[str, list[dict[str, Any]]], tmp_path: Path) -> None:
    made = [document for documents in everything.values() for document in documents]
    for values in sorted((CHART / "ci").glob("*.yaml")):
        made += filter(None, yaml.safe_load_all(helm("template", "site", CHART, "--values", values)))
    custom: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for document in made:
        if document["apiVersion"].partition("/")[0] in _CUSTOM:
            custom[document["apiVersion"], document["kind"]].append(document)
    assert {kind for _, kind in custom} == {"PodMonitor", "ServiceMonitor", "PrometheusRule", "ExternalSecret"}
    for (version, kind), documents in custom.items():
        schema = tmp_path / f"{kind}.json"
        schema.write_text(json.dumps(definition(version, kind)), encoding="utf-8")
        good, bad = tmp_path / kind, tmp_path / f"{kind}-mistyped.yaml"
        good.mkdir()
        for number, document in enumerate(documents):
            (good / f"{number}.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
        spec = documents[0]["spec"] | {"mistyped": 1}
        bad.write_text(yaml.safe_dump(documents[0] | {"spec": spec}), encoding="utf-8")
        assert "ok -- validation done" in validated(schema, *good.iterdir()), kind
        assert "'mistyped' was unexpected" in validated(schema, bad), kind


def definition(api_version: str, kind: str) -> dict[str, Any]:
    """The schema of a kind of resource, from the module that defines it."""
    group, _, version = api_version.partition("/")
    module, folder = _CUSTOM[group]
    assert shutil.which("go"), "go is not installed: it downloads the definitions"
    done = subprocess.run(("go", "mod", "download", "-json", module), check=True, capture_output=True, text=True)
    path = Path(json.loads(done.stdout)["Dir"], folder, f"{group}_{kind.lower()}s.yaml")
    versions = yaml.safe_load(path.read_text(encoding="utf-8"))["spec"]["versions"]
    (schema,) = (each["schema"]["openAPIV3Schema"] for each in versions if each["name"] == version)
    found: dict[str, Any] = closed(schema)
    found["properties"]["metadata"]["additionalProperties"] = True
    return found | {"$schema": _DRAFT}


_DRAFT = "http://json-schema.org/draft-07/schema#"


def closed(schema: Any) -> Any:
    """A schema of Kubernetes, which as JSON schema would allow any other key, with only the keys that it names."""
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    found = {name: closed(each) for name, each in schema.items()}
    if "(?i)" in str(found.get("pattern")):
        del found["pattern"]  # Go's syntax, not that of JSON schemas
    if isinstance(found.get("properties"), dict) and not found.get("x-kubernetes-preserve-unknown-fields"):
        found["additionalProperties"] = False
    return found


def validated(schema: Path, *files: Path) -> str:
    """What a validator of JSON schemas says."""
    validate = (BIN / "uv", "tool", "run", "--from", "check-jsonschema==0.39.0", "check-jsonschema")
    command = (*validate, "--schemafile", schema, *files)
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=300).stdout


@pytest.mark.parametrize(
    ("options", "scheme", "ready"),
    [
        ((), "HTTP", "/-/ready"),
        (("probes.scheme=HTTPS", "config.web.config_file=web.yml"), "HTTPS", "/-/healthy"),
        (("config.web.config_file=web.yml", "config.web.open_health_checks=true"), "HTTP", "/-/ready"),
    ],
)
def test_probes_need_no_login(options: tuple[str, ...], scheme: str, ready: str) -> None:
    sets = [word for option in ("config.site=prairie-1", *options) for word in ("--set", option)]
    rendered = helm("template", "site", CHART, *sets, "--show-only", "templates/statefulset.yaml")
    container = yaml.safe_load(rendered)["spec"]["template"]["spec"]["containers"][0]
    assert container["livenessProbe"]["httpGet"] == {"path": "/-/healthy", "port": "http", "scheme": scheme}
    assert container["readinessProbe"]["httpGet"] == {"path": ready, "port": "http", "scheme": scheme}
