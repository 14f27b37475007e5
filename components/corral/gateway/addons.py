"""What the stack installs on its cluster beside the load balancer's software, where it says so: KEDA and a Prometheus,
which scale Envoys and vLLM, and the External Secrets Operator with the store that it reads.

The Prometheus has what is in the monitors of this stack and nothing else: no Grafana, no Alertmanager, no rules and
nothing of the cluster itself.  It keeps two days, on its node.  Helm never upgrades its operator's definitions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi

from corral.config.secret_store import SecretStore
from corral.gateway.charts import EXTERNAL_SECRETS, KEDA, PROMETHEUS, Chart
from corral.gateway.names import KEDA_NAMESPACE, MONITORING_NAMESPACE, SECRETS_NAMESPACE
from corral.gateway.software import Installation, InstallationArgs
from corral.hosts.base import ClusterComponent, KubernetesObject
from corral.hosts.iam import Statement, policy
from corral.hosts.images import Images
from corral.hosts.store import secrets_manager


def _keda(images: Images) -> dict[str, Any]:
    registry = images.named("ghcr.io/kedacore/keda").removesuffix("/kedacore/keda")
    return {"global": {"image": {"registry": registry}}, "imagePullSecrets": images.pull_secrets}


def _external_secrets(images: Images) -> dict[str, Any]:
    """The operator without webhooks, and so without certificates."""
    return {
        "image": {"repository": images.named("ghcr.io/external-secrets/external-secrets")},
        "imagePullSecrets": images.pull_secrets,
        **{part: {"create": False} for part in ("webhook", "certController")},
    }


def _reading(store: SecretStore, region: str, account: str) -> pulumi.Output[str]:
    """What the operator may do, as IAM has it: read the secrets that the stack names, each by its name or its ARN.

    External Secrets 2.9.0 calls nothing else for a secret that is named; its documents allow it three actions more.
    """
    below = f"arn:aws:secretsmanager:{region}:{account}:secret:"
    names = sorted({entry.key for name in store.keys if (entry := store.entry(name))})
    return policy([Statement(["secretsmanager:GetSecretValue"], [_with_arn(name, below) for name in names], {})])


def _with_arn(name: str, below: str) -> str:
    """Secrets Manager ends the ARN of a secret with six characters of its own."""
    return name if name.startswith("arn:") else f"{below}{name}-??????"


def _prometheus(images: Images) -> dict[str, Any]:
    """The operator without webhooks, and so without certificates, and one Prometheus; no Service of the kubelets, which
    would outlive it."""
    registry = images.named("quay.io/prometheus/prometheus").removesuffix("/prometheus/prometheus")
    parts = ("alertmanager", "grafana", "kubeStateMetrics", "nodeExporter", "kubernetesServiceMonitors")
    return {
        "global": {"imageRegistry": registry, "imagePullSecrets": images.pull_secrets},
        **{part: {"enabled": False} for part in parts},
        "defaultRules": {"create": False},
        "prometheusOperator": {
            **{part: {"enabled": False} for part in ("admissionWebhooks", "kubeletService", "tls")},
            "serviceMonitor": {"selfMonitor": False},
        },
        "prometheus": {"prometheusSpec": {"retention": "2d"}, "serviceMonitor": {"selfMonitor": False}},
    }


@dataclass(frozen=True)
class AddonsArgs(InstallationArgs):
    """What is installed."""

    cluster: ClusterComponent
    charts: Sequence[Chart]
    store: SecretStore | None
    """What the External Secrets Operator reads."""


class Addons(Installation):
    """Those of them that the stack names, each in a namespace of its own; what needs them depends on `ready`."""

    ready: list[pulumi.Resource]

    def __init__(self, name: str, args: AddonsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("corral:gateway:Addons", name, args, opts)
        store = args.store if EXTERNAL_SECRETS in args.charts else None
        identity = self._identity(args.cluster, store)
        self.ready = [
            self._release(
                part,
                chart,
                namespace,
                values(args.images),
                *self._namespace(part, namespace),
                *before,
                skip_crds=chart is not PROMETHEUS,
            )
            for part, chart, namespace, values, before in (
                ("keda", KEDA, KEDA_NAMESPACE, _keda, ()),
                ("prometheus", PROMETHEUS, MONITORING_NAMESPACE, _prometheus, ()),
                ("secrets", EXTERNAL_SECRETS, SECRETS_NAMESPACE, _external_secrets, identity),
            )
            if chart in args.charts
        ]
        if store and args.cluster.vpc:
            manifest = secrets_manager(store.name, args.cluster.vpc.region, args.labels)
            self.ready.append(KubernetesObject(f"{name}-store", manifest, self._child(self.ready[-1])))
        self.register_outputs({})

    def _identity(self, cluster: ClusterComponent, store: SecretStore | None) -> Sequence[pulumi.Resource]:
        """That of the External Secrets Operator, which its pod gets when it starts."""
        if store is None or cluster.vpc is None or cluster.account is None:
            return ()
        may, account = [_reading(store, cluster.vpc.region, cluster.account)], EXTERNAL_SECRETS.name
        associated, allowed = cluster.identity(f"{self._name}-identity", SECRETS_NAMESPACE, account, may, self)
        return [*associated, *allowed]
