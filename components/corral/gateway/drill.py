"""The gateway of a drill on a cluster: beside the stack's own, with its controllers, in a namespace that is removed.

It is made by Pulumi, as the stack's is, from the same component, so that a move of a drill is a `pulumi up` with all
that belongs to one.  Its state is in a folder that goes with the drill, under a passphrase that nobody knows; it knows
nothing of the team's state.  So it is removed without one: the namespace has all of it but the class of the Gateway,
and everything has the label of drills.  What a drill left that was killed is removed in the same way.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_urlsafe
from typing import Any, Literal

import pulumi
import pulumi_kubernetes as kubernetes
from pulumi import automation

from corral.cluster.clusters import ExistingCluster
from corral.config.cluster import Gateway as GatewaySettings
from corral.config.cluster import KubeconfigCluster
from corral.config.registry import Registry
from corral.gateway.automation import UpError, up
from corral.gateway.component import Gateway, GatewayArgs
from corral.gateway.manifests.drill import (
    DRILL,
    DRILL_LABEL,
    HOSTS_ENTRY,
    HOSTS_PORT,
    POD,
    TOKEN_ENTRY,
    drill_manifests,
    service_name,
)
from corral.gateway.names import ENVOY_NAMESPACE
from corral.hosts.base import SECRET_DATA, KubernetesObject
from corral.hosts.endpoint import Endpoint, KeyCredential
from corral.hosts.failures import HostFailures
from corral.hosts.images import Images
from corral.hosts.naming import labels
from corral.plan.credentials import CallerCredentials
from corral.plan.plan import Plan

URL = f"https://{DRILL.service}.{ENVOY_NAMESPACE}.svc.cluster.local/v1"
"""The base URL of a client in the cluster."""

_OWNING_GATEWAY = "gateway.envoyproxy.io/owning-gateway-name"
"""The label of what Envoy Gateway makes for a Gateway."""

_REMOVAL = "300s"
"""The longest wait for the end of a namespace: the finalizers of its objects are the controllers' to take away."""


class DrillError(Exception):
    """The drill's gateway could not be made, moved or removed; the message says why, and holds no secret."""


@dataclass(frozen=True)
class DrillHost:
    """A simulated host, as the gateway is to reach it."""

    port: int
    """Of the pod."""
    path: str
    """The path of its base URL."""
    header: Literal["authorization", "api-key"] | None
    key: str | None = field(repr=False)
    """Together with the header, or neither."""


@dataclass(frozen=True)
class DrillArgs:
    """What a drill makes on a cluster, whatever its moves."""

    gateway: GatewaySettings
    """The stack's."""
    registry: Registry | None
    cluster: KubeconfigCluster
    """Its file as an absolute path, or one that begins with `~/`."""
    image: str
    hosts: Mapping[str, DrillHost]
    description: str = field(repr=False)
    """Of the hosts, for the pod: it has their keys."""
    token: str = field(repr=False)
    """That of their control endpoints."""
    keys: Mapping[str, str] = field(repr=False)
    """By tenant."""

    def tags(self, stack: str) -> dict[str, str]:
        """The labels of all that is made."""
        return {"managed-by": "corral", DRILL_LABEL: stack}


def deploy_drill(args: DrillArgs, whole: Plan, plan: Plan) -> None:
    """The Pulumi program.  `whole`: with every host that a move may name; `plan`: what is to be in force."""
    tags = args.tags(plan.stack)
    cluster = ExistingCluster("cluster", args.cluster)
    own: dict[str, Any] = {"public": False, "hostname": None, "certificate": None, "annotations": {}}
    gateway = Gateway(
        "gateway",
        GatewayArgs(
            plan=plan,
            gateway=args.gateway.model_copy(update={**own, "plain_http": False}),
            credentials=CallerCredentials({tenant: (key,) for tenant, key in args.keys.items()}, {}),
            endpoints=_endpoints(args, whole),
            cluster=cluster,
            images=Images(args.registry),
            identity=(),
            permissions={},
            failures=HostFailures(0),
            tags=tags,
            names=DRILL,
            point=None,
            install=False,
        ),
    )
    child = pulumi.ResourceOptions(provider=cluster.provider, depends_on=[gateway.namespace])
    secret = kubernetes.core.v1.Secret(
        "drill-secret",
        metadata={"name": POD, "namespace": DRILL.namespace, "labels": labels(tags)},
        string_data={
            HOSTS_ENTRY: pulumi.Output.secret(args.description),
            TOKEN_ENTRY: pulumi.Output.secret(args.token),
        },
        opts=pulumi.ResourceOptions.merge(child, SECRET_DATA),
    )
    ports = {host: each.port for host, each in args.hosts.items()}
    after = pulumi.ResourceOptions.merge(child, pulumi.ResourceOptions(depends_on=[secret]))
    for key, manifest in drill_manifests(args.image, ports, labels(tags)).items():
        KubernetesObject(f"drill-{key}", manifest, after)


def _endpoints(args: DrillArgs, whole: Plan) -> list[Endpoint]:
    keys = {host: pulumi.Output.secret(each.key) for host, each in args.hosts.items() if each.key is not None}
    return [
        Endpoint(
            model=model.name,
            host=target.host,
            hostname=service_name(target.host),
            port=HOSTS_PORT,
            tls=False,
            protocol=target.protocol,
            path=args.hosts[target.host].path,
            model_id=target.model_id,
            credential=KeyCredential(header, keys[target.host]) if (header := args.hosts[target.host].header) else None,
        )
        for model, target in whole.targets
    ]


class DrillDeployment:
    """The gateway of one drill, made and moved by Pulumi with a state of its own in a folder."""

    def __init__(self, args: DrillArgs, whole: Plan, folder: Path) -> None:
        self._args, self._whole, self._plan = args, whole, whole
        self._folder = folder
        self._stack: automation.Stack | None = None

    def up(self, plan: Plan) -> None:
        """Brings a plan into force.  Raises DrillError."""
        self._plan = plan
        opened = self._stack
        try:
            self._stack = up(self._new_stack if opened is None else lambda: opened)
        except UpError as error:
            raise DrillError(str(error)) from None

    def _new_stack(self) -> automation.Stack:
        python = automation.ProjectRuntimeInfo("python", {"virtualenv": sys.prefix})
        backend = f"file://{self._folder}"
        settings = automation.ProjectSettings(
            "corral-drill", runtime=python, backend=automation.ProjectBackend(backend), main=str(self._folder)
        )
        options = automation.LocalWorkspaceOptions(
            work_dir=str(self._folder),
            project_settings=settings,
            env_vars={
                "PATH": os.pathsep.join([str(Path(sys.prefix) / "bin"), os.environ.get("PATH", "")]),
                "PULUMI_BACKEND_URL": backend,
                "PULUMI_CONFIG_PASSPHRASE": token_urlsafe(32),
                "PULUMI_SKIP_UPDATE_CHECK": "true",
            },
        )
        return automation.create_stack(
            "drill",
            project_name="corral-drill",
            program=lambda: deploy_drill(self._args, self._whole, self._plan),
            opts=options,
        )


@dataclass(frozen=True)
class Kubectl:
    """`kubectl` for a cluster.  Its output is not a person's to read."""

    kubeconfig: Path
    context: str | None

    def command(self, *arguments: str) -> list[str]:
        """The whole command."""
        context = [f"--context={self.context}"] if self.context else []
        return ["kubectl", f"--kubeconfig={self.kubeconfig}", *context, *arguments]

    def exec_command(self, *program: str) -> list[str]:
        """The command that runs a program in the drill's pod, with its standard input and output."""
        return self.command("exec", "-i", f"--namespace={DRILL.namespace}", POD, "--", *program)

    def run(self, *arguments: str) -> str:
        """What it writes.  Raises DrillError."""
        try:  # in a session of its own: a Ctrl-C at the terminal must not end the removal
            done = subprocess.run(
                self.command(*arguments), check=False, capture_output=True, text=True, start_new_session=True
            )
        except FileNotFoundError:
            raise DrillError(
                "there is no kubectl on PATH, by which a drill runs its load in a pod: kubernetes.io/docs/tasks/tools"
            ) from None
        if done.returncode:
            raise DrillError(f"kubectl {arguments[0]}: {done.stderr.strip()}")
        return done.stdout


_REMOVE: Sequence[tuple[str, ...]] = (
    ("delete", "namespace", DRILL.namespace, "--ignore-not-found", f"--timeout={_REMOVAL}"),
    ("delete", "gatewayclass", "--selector", DRILL_LABEL, "--ignore-not-found", f"--timeout={_REMOVAL}"),
    (
        *("wait", "--for=delete", "deployment,service", f"--namespace={ENVOY_NAMESPACE}"),
        *("--selector", f"{_OWNING_GATEWAY}={DRILL.gateway}", f"--timeout={_REMOVAL}"),
    ),
)


def remove(kubectl: Kubectl) -> bool:
    """Removes all that drills have made on the cluster; whether there was anything.  Raises DrillError.

    A namespace of that name that no drill has made is left alone, and refused.
    """
    text = kubectl.run("get", "namespace", DRILL.namespace, "--ignore-not-found", "--output=json")
    exists = bool(text.strip())
    if exists and DRILL_LABEL not in json.loads(text)["metadata"].get("labels", {}):
        raise DrillError(
            f"the cluster has a namespace {DRILL.namespace} that no drill has made, as it has no label {DRILL_LABEL}: "
            "a drill needs the name; remove it, or give what is in it another one"
        )
    for place, arguments in enumerate(_REMOVE):
        try:
            kubectl.run(*arguments)
        except DrillError as error:
            left = "\n".join("  " + " ".join(kubectl.command(*each)) for each in _REMOVE[place:])
            raise DrillError(
                f"{error}\nNot all of the drill is removed from the cluster. The stack's own gateway is as it was. The "
                f"next drill tries again, and so do:\n{left}"
            ) from None
    return exists
