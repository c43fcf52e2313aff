"""The Kubernetes overlays build by kustomize, are valid, restricted, and match this service."""

import ast
import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from fastapi_base.cli import main as cli
from fastapi_base.core.config import Settings, load_settings, variable
from tests.ops.deploy.k8s.rules import FOLDER, Manifest, build, dangling, named, pods, unrestricted

OVERLAYS = ("staging", "production")
EVERY = (*OVERLAYS, *(f"{name}/migrate" for name in OVERLAYS))
# The oldest version that the manifests support, and the newest that the validator knows.
VERSIONS = ("1.30.0", "1.37.0")
KEDA = json.loads(Path("tests/ops/deploy/k8s/keda.json").read_text())


@pytest.fixture(scope="module", params=EVERY)
def manifests(request: pytest.FixtureRequest) -> list[Manifest]:
    return build(request.param)


@pytest.fixture(scope="module", params=OVERLAYS)
def service(request: pytest.FixtureRequest) -> list[Manifest]:
    """The manifests of an overlay's service and of its migration."""
    return [*build(request.param), *build(f"{request.param}/migrate")]


def validate(manifest: Manifest, version: str) -> None:
    """Raises if a field is unknown, missing or of the wrong type."""
    if manifest["apiVersion"].startswith("keda.sh/"):
        jsonschema.validate(manifest, KEDA[manifest["kind"]])
    else:
        kubernetes_validate.validate(manifest, version, strict=True)


@pytest.mark.parametrize("version", VERSIONS)
def test_each_manifest_is_valid(manifests: list[Manifest], version: str) -> None:
    assert len(manifests) > 3
    for manifest in manifests:
        validate(manifest, version)


def one(manifests: list[Manifest], name: str) -> Any:
    return copy.deepcopy(next(manifest for manifest in manifests if named(manifest) == name))


def test_validator_reports_errors() -> None:
    built = build("production")
    misspelled = one(built, "Deployment/api")
    misspelled["spec"]["template"]["spec"]["containers"][0]["readynessProbe"] = {}
    wrong = one(built, "HorizontalPodAutoscaler/api")
    wrong["spec"]["maxReplicas"] = "many"
    missing = one(built, "PodDisruptionBudget/api")
    missing["spec"]["selector"] = []
    scaled = one(built, "ScaledObject/worker")
    scaled["spec"]["maxReplicas"] = 3
    unasked = one(built, "ScaledObject/worker")
    del unasked["spec"]["triggers"][0]["metadata"]["query"]
    for broken in (misspelled, wrong, missing, scaled, unasked):
        with pytest.raises((kubernetes_validate.ValidationError, jsonschema.ValidationError)):
            validate(broken, VERSIONS[-1])


def test_pods_are_restricted(manifests: list[Manifest]) -> None:
    namespace = next(one for one in manifests if one["kind"] == "Namespace")
    enforced = namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"]
    assert enforced == "restricted"
    for name, pod in pods(manifests):
        assert unrestricted(pod) == [], name
        assert pod["spec"]["automountServiceAccountToken"] is False
        for container in pod["spec"]["containers"]:
            assert container["securityContext"]["readOnlyRootFilesystem"] is True
            assert container["resources"]["limits"]["memory"]
            assert container["resources"]["requests"].keys() == {"cpu", "memory"}


@pytest.mark.parametrize(
    ("place", "value", "expected"),
    [
        (("hostNetwork",), True, "hostNetwork"),
        (("volumes",), [{"name": "x", "hostPath": {"path": "/"}}], "volume hostPath"),
        (("securityContext", "runAsNonRoot"), None, "runAsNonRoot"),
        (("securityContext", "runAsUser"), 0, "runAsUser"),
        (("securityContext", "seccompProfile"), {}, "seccompProfile"),
        (("containers", 0, "securityContext", "privileged"), True, "privileged"),
        (("containers", 0, "securityContext", "capabilities"), {}, "capabilities.drop"),
        (
            ("containers", 0, "securityContext", "capabilities", "add"),
            ["SYS_ADMIN"],
            "capabilities.add",
        ),
        (
            ("containers", 0, "securityContext", "allowPrivilegeEscalation"),
            True,
            "allowPrivilegeEscalation",
        ),
        (("containers", 0, "ports", 0, "hostPort"), 80, "hostPort"),
    ],
    ids=lambda value: "-".join(map(str, value)) if isinstance(value, tuple) else None,
)
def test_unrestricted_pod_is_reported(
    place: tuple[str | int, ...], value: object, expected: str
) -> None:
    pod = one(build("staging"), "Deployment/api")["spec"]["template"]
    inner = pod["spec"]
    for step in place[:-1]:
        inner = inner[step]
    inner[place[-1]] = value
    assert unrestricted(pod) == [expected]


def test_all_references_resolve(manifests: list[Manifest]) -> None:
    if any(manifest["kind"] == "Deployment" for manifest in manifests):
        assert {named(one) for one in manifests if one["kind"] == "NetworkPolicy"}
    assert dangling(manifests) == []


def test_dangling_reference_is_reported() -> None:
    built = build("production")
    budget = next(one for one in built if named(one) == "PodDisruptionBudget/worker")
    budget["spec"]["selector"]["matchLabels"]["app.kubernetes.io/name"] = "wroker"
    scaler = next(one for one in built if named(one) == "ScaledObject/worker")
    scaler["spec"]["scaleTargetRef"]["name"] = "workers"
    gone = [one for one in built if one["kind"] != "ConfigMap"]
    found = dangling(gone)
    assert "PodDisruptionBudget/worker: selects nothing" in found
    assert "ScaledObject/worker: Deployment/workers" in found
    assert [one for one in found if one.startswith("Deployment/api: ConfigMap/")]


def images() -> dict[str, Any]:
    """The fields of each image in ops/images/BUILD."""
    tree = ast.parse(Path("ops/images/BUILD").read_text())
    names: dict[str, Any] = {}
    for node in tree.body:
        if isinstance(node, ast.Assign):
            source = ast.unparse(node)
            # Only plain data and previously defined names.
            exec(source, {"__builtins__": {"dict": dict}}, names)  # noqa: S102
    return names


def test_images_users_ports_and_commands_match_the_build(service: list[Manifest]) -> None:
    built = images()
    commands = {
        (one.name or one.callback.__name__).replace("_", "-")
        for one in cli.app.registered_commands
        if one.callback
    }
    seen = set()
    for name, pod in pods(service):
        assert str(pod["spec"]["securityContext"]["runAsUser"]) == built["APP"], name
        assert str(pod["spec"]["securityContext"]["runAsGroup"]) == built["APP"], name
        (container,) = pod["spec"]["containers"]
        repository, _, tag = container["image"].rpartition(":")
        program = repository.rpartition("/")[2]
        seen.add((program, *container.get("args", [])))
        assert tag != "latest"
        assert program in built["PROGRAMS"], name
        assert "command" not in container
        ports = built["PROGRAMS"][program].get("ports", [])
        exposed = [int(port.partition("/")[0]) for port in ports]
        given = {port["name"]: port["containerPort"] for port in container.get("ports", [])}
        assert set(given.values()) <= set(exposed), name
        if program == "api":
            assert given["http"] == Settings().api.port
        if program == "migrate":
            assert container["args"][0] in commands, name
        for probe in ("startupProbe", "livenessProbe"):
            if run := container.get(probe, {}).get("exec"):
                assert run["command"] == built["PROGRAMS"][program]["healthcheck"]
    assert seen == {
        ("api",),
        ("worker", "worker"),
        ("worker", "beat"),
        ("migrate", "migrate"),
        ("migrate", "relay"),
    }


def test_settings_exist_and_are_valid_in_production(
    service: list[Manifest], monkeypatch: pytest.MonkeyPatch
) -> None:
    known = {
        variable(section, name)
        for section in Settings.sections().values()
        for name in section.model_fields
    }
    maps = [one["data"] for one in service if one["kind"] == "ConfigMap"]
    # The service's and the migration's.
    assert maps[0] == maps[1]
    secrets = yaml.safe_load((FOLDER / "secret.example.yaml").read_text())
    assert set(maps[0]) | set(secrets["stringData"]) <= known
    assert not [one for one in service if one["kind"] == "Secret"]
    for name in known:
        monkeypatch.delenv(name, raising=False)
    for name, value in {**maps[0], **secrets["stringData"]}.items():
        monkeypatch.setenv(name, value)
    settings = load_settings(env_file=None)
    assert settings.app.environment == "production"

    spec = {name: pod["spec"] for name, pod in pods(service)}
    for name, pod in spec.items():
        named_secrets = [
            source["secretRef"]["name"]
            for container in pod["containers"]
            for source in container["envFrom"]
            if "secretRef" in source
        ]
        assert named_secrets == [secrets["metadata"]["name"]], name
    patience = settings.api.drain_seconds + settings.api.graceful_timeout
    assert spec["Deployment/api"]["terminationGracePeriodSeconds"] > patience + 5
    limit = settings.celery.task_time_limit
    assert spec["Deployment/worker"]["terminationGracePeriodSeconds"] > limit


def test_rollout_keeps_a_beat_running_and_the_api_available(service: list[Manifest]) -> None:
    beat = next(one for one in service if named(one) == "Deployment/beat")
    assert beat["spec"]["replicas"] - beat["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"]
    assert "PodDisruptionBudget/beat" in map(named, service)
    api = next(one for one in service if named(one) == "Deployment/api")
    assert api["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    probes = api["spec"]["template"]["spec"]["containers"][0]
    kinds = ("startupProbe", "livenessProbe", "readinessProbe")
    paths = {kind: probes[kind]["httpGet"]["path"] for kind in kinds}
    assert paths == {
        "startupProbe": "/health/startup",
        "livenessProbe": "/health/live",
        "readinessProbe": "/health/ready",
    }


def test_autoscaled_workloads_have_no_fixed_replicas(service: list[Manifest]) -> None:
    scaled = {
        one["spec"]["scaleTargetRef"]["name"]
        for one in service
        if one["kind"] in ("HorizontalPodAutoscaler", "ScaledObject")
    }
    assert "api" in scaled
    for one in service:
        if one["kind"] == "Deployment" and one["metadata"]["name"] in scaled:
            assert "replicas" not in one["spec"], named(one)


def test_only_listed_traffic_is_allowed(service: list[Manifest]) -> None:
    policies = {
        one["metadata"]["name"]: one["spec"] for one in service if one["kind"] == "NetworkPolicy"
    }
    assert policies.pop("nothing") == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    assert set(policies) == {"from-load-balancer", "from-prometheus", "to-servers", "to-the-world"}
