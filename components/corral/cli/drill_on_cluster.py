"""`corral drill --on-cluster`: a gateway of its own beside the stack's on its cluster, rehearsed and removed.

Policy.  The objects of the stack are neither changed nor read, but the controllers that it has installed.  Whatever
happens, what was made is removed before the command ends; where that fails, it says what is left.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from secrets import token_urlsafe
from tempfile import TemporaryDirectory
from typing import TypeVar

from rich.console import Console

from corral.catalog.load import load_catalog
from corral.cli.project import CommandError
from corral.cluster.kubeconfig import UnusableClusterError, check_reachable, file_of
from corral.config.cluster import KubeconfigCluster
from corral.config.read import read_stack
from corral.gateway.drill import URL, DrillArgs, DrillDeployment, DrillError, DrillHost, Kubectl, remove
from corral.local.drill.on_cluster import Preparation, follow
from corral.local.drill.pod import CONTROL_URL, ports
from corral.local.drill.pod_load import Job
from corral.local.errors import EngineError
from corral.plan.plan import Plan
from corral.simulated.hosts import to_json

_LOAD = ("python", "-m", "corral.local.drill.pod_load")

BUILD = "docker build --file images/drill/Dockerfile --tag REGISTRY/corral-drill . && docker push REGISTRY/corral-drill"
"""From a checkout of Corral."""

T = TypeVar("T")


def cluster_of(file: Path, kubeconfig: Path | None, context: str | None) -> KubeconfigCluster:
    """The cluster of a stack that was planned, or the one of the file that is named.  Raises CommandError."""
    stack = read_stack(file, load_catalog())
    if stack.engine.kind != "kubernetes":
        raise CommandError(f"Stack {stack.name} is for the local engine: drill it without --on-cluster.")
    if kubeconfig is not None:
        cluster = KubeconfigCluster(kubeconfig=str(kubeconfig.absolute()), context=context)
    elif isinstance(stack.cluster, KubeconfigCluster):
        path = stack.cluster.kubeconfig
        absolute = path if path.startswith("~/") else str((file.parent / path).absolute())
        cluster = KubeconfigCluster(kubeconfig=absolute, context=context or stack.cluster.context)
    else:
        raise CommandError(
            f"Stack {stack.name} makes its cluster on EKS: name a kubeconfig that leads there, --kubeconfig FILE. "
            "`aws eks update-kubeconfig --name CLUSTER --kubeconfig FILE` writes it."
        )
    try:
        check_reachable(cluster)
    except UnusableClusterError as error:
        raise CommandError(str(error)) from None
    return cluster


@asynccontextmanager
async def deployed(
    file: Path, cluster: KubeconfigCluster, image: str, prepared: Preparation, out: Console
) -> AsyncGenerator[Callable[[], asyncio.Task[None]]]:
    """The drill's gateway, there until the end of the block; what is given starts the load.  Raises CommandError."""
    stack, plan = read_stack(file, load_catalog()), prepared.record.plan
    kubectl = Kubectl(file_of(cluster), cluster.context)
    at = ports(plan.hosts)
    args = DrillArgs(
        gateway=stack.gateway,
        registry=stack.mirror,
        cluster=cluster,
        image=image,
        hosts={host.name: DrillHost(at[host.name], host.path, host.header, host.key) for host in prepared.hosts},
        description=to_json(prepared.hosts).decode(),
        token=token_urlsafe(32),
        keys=prepared.keys,
    )
    job = Job(plan, prepared.record.script, URL, CONTROL_URL, prepared.keys)
    try:
        with TemporaryDirectory(prefix="corral-drill-", ignore_cleanup_errors=True) as folder:
            deployment = DrillDeployment(args, prepared.record.rehearsed, Path(folder))

            async def move(to: Plan) -> None:
                try:
                    await _to_its_end(partial(deployment.up, to))
                except DrillError as error:
                    raise EngineError(str(error)) from None

            if await _to_its_end(partial(remove, kubectl)):
                out.print("What an earlier drill had left on the cluster is removed.")
            try:
                out.print("Making a gateway and simulated hosts on the cluster: some minutes.")
                await _to_its_end(partial(deployment.up, prepared.record.rehearsed))
                yield lambda: asyncio.create_task(follow(prepared.record, job, kubectl.exec_command(*_LOAD), move))
            finally:
                out.print("Removing them.")
                await _to_its_end(partial(remove, kubectl))
    except DrillError as error:
        raise CommandError(str(error)) from None


async def _to_its_end(work: Callable[[], T]) -> T:
    """Does what blocks in a thread; cancelled, it waits for the end all the same: nothing goes on unseen."""
    task = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        raise
