"""Runs a stand-in as a plugin of Pulumi: it says its port on the first line, and serves while the engine is there."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

import grpc
from pulumi.runtime.proto import provider_pb2_grpc

from tests.pulumi_engine.stand_ins.cloud import Cloud
from tests.pulumi_engine.stand_ins.cluster import PACKAGE, Cluster
from tests.pulumi_engine.stand_ins.provider import StandIn, World
from tests.pulumi_engine.stand_ins.store import Store

_UNLIMITED = (("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1))

_ENGINE_SECONDS = 1
"""How often it is asked whether the engine is there."""

WORLDS: Mapping[str, Callable[[str, Store], World]] = {
    "aws": Cloud,
    "azure-native": Cloud,
    "random": Cloud,
    PACKAGE: Cluster,
}
"""Per package of Pulumi what stands behind it."""


def serve(package: str, version: str) -> None:
    """Returns when the engine has gone, even if it was killed."""
    engine = os.getppid()
    store = Store.of_environment()
    server = grpc.server(ThreadPoolExecutor(max_workers=32), options=_UNLIMITED)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(
        StandIn(WORLDS[package](package, store), store, version), server
    )
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    while server.wait_for_termination(_ENGINE_SECONDS):
        if os.getppid() != engine:
            os._exit(1)  # a call that hangs holds nobody up
