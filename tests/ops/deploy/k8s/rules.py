"""Requirements on manifests beyond their schemas."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from ops.dev import packages

type Manifest = dict[str, Any]

FOLDER = Path("ops/deploy/k8s")
WORKLOADS = ("Deployment", "Job")


def build(overlay: str) -> list[Manifest]:
    """The manifests of an overlay, as `kubectl kustomize` builds them."""
    kubectl = packages.command(packages.root("kubectl", "kubectl"), "usr/bin/kubectl")
    command = [*kubectl, "kustomize", str(FOLDER / "overlays" / overlay)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [manifest for manifest in yaml.safe_load_all(done.stdout) if manifest]


def named(manifest: Manifest) -> str:
    """Kind and name."""
    return f"{manifest['kind']}/{manifest['metadata']['name']}"


def pods(manifests: list[Manifest]) -> Iterator[tuple[str, Manifest]]:
    """The pod template of each workload, by the workload's name."""
    for manifest in manifests:
        if manifest["kind"] in WORKLOADS:
            yield named(manifest), manifest["spec"]["template"]


def unrestricted(pod: Manifest) -> list[str]:
    """Where a pod violates Kubernetes' "restricted" profile (Pod Security Standards, v1.34)."""
    spec = pod["spec"]
    found = [name for name in ("hostNetwork", "hostPID", "hostIPC") if spec.get(name)]
    allowed = {
        "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim",
        "projected", "secret",
    }  # fmt: skip
    for volume in spec.get("volumes", []):
        found += [f"volume {kind}" for kind in volume if kind != "name" and kind not in allowed]
    general = spec.get("securityContext", {})
    for container in (*spec.get("initContainers", []), *spec["containers"]):
        own = container.get("securityContext", {})
        both = {**general, **own}
        if own.get("privileged"):
            found.append("privileged")
        if own.get("allowPrivilegeEscalation") is not False:
            found.append("allowPrivilegeEscalation")
        if both.get("runAsNonRoot") is not True:
            found.append("runAsNonRoot")
        if both.get("runAsUser") == 0:
            found.append("runAsUser")
        if both.get("seccompProfile", {}).get("type") not in ("RuntimeDefault", "Localhost"):
            found.append("seccompProfile")
        capabilities = own.get("capabilities", {})
        if "ALL" not in capabilities.get("drop", []):
            found.append("capabilities.drop")
        if set(capabilities.get("add", [])) - {"NET_BIND_SERVICE"}:
            found.append("capabilities.add")
        found += ["hostPort" for port in container.get("ports", []) if port.get("hostPort")]
    return found


def dangling(manifests: list[Manifest]) -> list[str]:
    """References to something that does not exist: selectors, targets, names of settings."""
    labels = [pod["metadata"]["labels"] for _, pod in pods(manifests)]
    present = {named(manifest) for manifest in manifests}
    ports = {
        port["name"]
        for _, pod in pods(manifests)
        for container in pod["spec"]["containers"]
        for port in container.get("ports", [])
    }
    found = []
    for manifest in manifests:
        name, spec = named(manifest), manifest.get("spec", {})
        match manifest["kind"]:
            case "Service":
                selectors = [{"matchLabels": spec["selector"]}]
                found += [
                    f"{name}: port {port['targetPort']}"
                    for port in spec["ports"]
                    if port["targetPort"] not in ports
                ]
            case "Deployment" | "PodDisruptionBudget":
                selectors = [spec["selector"]]
            case "NetworkPolicy":
                selectors = [spec["podSelector"]]
            case _:
                selectors = []
        found += [
            f"{name}: selects nothing"
            for selector in selectors
            if not any(_selects(selector, given) for given in labels)
        ]
        if target := spec.get("scaleTargetRef"):
            wanted = f"{target.get('kind', 'Deployment')}/{target['name']}"
            found += [f"{name}: {wanted}"] * (wanted not in present)
    for name, pod in pods(manifests):
        account = f"ServiceAccount/{pod['spec']['serviceAccountName']}"
        settings = [
            f"ConfigMap/{source['configMapRef']['name']}"
            for container in pod["spec"]["containers"]
            for source in container["envFrom"]
            if "configMapRef" in source
        ]
        found += [f"{name}: {one}" for one in (account, *settings) if one not in present]
    return found


def _selects(selector: Manifest, labels: dict[str, str]) -> bool:
    wanted = selector.get("matchLabels", {})
    expressions = selector.get("matchExpressions", [])
    return wanted.items() <= labels.items() and all(
        labels.get(expression["key"]) in expression["values"] for expression in expressions
    )
