"""A Helm chart as a component of the Kubernetes provider: what the chart has in it is made here, as one definition."""

from __future__ import annotations

from typing import Any

import grpc
from pulumi.runtime.proto import provider_pb2, resource_pb2, resource_pb2_grpc

from corral.testing.monitor import decoded, encoded

_DEFINITION = "kubernetes:apiextensions.k8s.io/v1:CustomResourceDefinition"

_SCHEMA = {"description": "What there is of it.", "type": "object"}


def construct(request: Any) -> provider_pb2.ConstructResponse:
    """Registers the chart and, below it, a definition that is called as the chart."""
    chart = decoded(request.inputs)["chart"].rpartition("/")[2]
    with grpc.insecure_channel(request.monitorEndpoint) as channel:
        monitor = resource_pb2_grpc.ResourceMonitorStub(channel)
        component = monitor.RegisterResource(
            resource_pb2.RegisterResourceRequest(
                type=request.type,
                name=request.name,
                parent=request.parent,
                object=request.inputs,
                dependencies=request.dependencies,
                acceptSecrets=True,
                acceptResources=True,
            )
        )
        monitor.RegisterResource(
            resource_pb2.RegisterResourceRequest(
                type=_DEFINITION,
                name=f"{request.name}:{chart}",
                parent=component.urn,
                custom=True,
                object=encoded(
                    {
                        "apiVersion": "apiextensions.k8s.io/v1",
                        "kind": "CustomResourceDefinition",
                        "metadata": {"name": chart},
                        "spec": {"versions": [{"schema": {"openAPIV3Schema": _SCHEMA}}]},
                    }
                ),
                provider=request.providers.get("kubernetes", ""),
                dependencies=request.dependencies,
                acceptSecrets=True,
                acceptResources=True,
            )
        )
        monitor.RegisterResourceOutputs(
            resource_pb2.RegisterResourceOutputsRequest(urn=component.urn, outputs=encoded({}))
        )
    return provider_pb2.ConstructResponse(urn=component.urn, state=encoded({"resources": []}))
