"""Brings a new configuration into force while requests are under way, and loses none of them.

Order.  First everything is added that the new plan needs, keys too, and Envoy has warmed it up.  Then the weights and
the routes change: from then on new requests follow the new plan.  What the new plan does not need any more stays until
the requests it has begun are finished, at most for the drain timeout; only then is it removed.  Each file is replaced
by a rename, and each step waits until Envoy says that the version is in force.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from pathlib import Path

from corral.local.admin import Admin
from corral.local.envoy import names
from corral.local.envoy.configuration import Configuration, Secrets, discovery
from corral.local.envoy.names import Files
from corral.local.envoy.resource import Resource, text_of
from corral.local.errors import EngineError
from corral.local.state_folder import replace_file

_POLL = 0.1

_QUIET_SECONDS = 1.0
"""For which nothing must be under way at a former host.  A request that has begun with the former plan, and has not
come to its host yet, is under way nowhere: its body is still to come, its next attempt, or a place for it."""


class Rollout:
    """The files of one Envoy, and what is in force."""

    def __init__(self, files: Files, admin: Admin) -> None:
        self._files = files
        self._admin = admin
        self._clusters: dict[str, Resource] = {}
        """What the file of clusters holds, former ones included."""
        self._versions: dict[Path, str] = {}
        self._draining: asyncio.Task[None] | None = None

    def write_all(self, new: Configuration, secrets: Secrets) -> dict[str, str]:
        """Writes a first configuration, for an Envoy that is not running yet; the versions to wait for."""
        return {
            **self._write_secrets(new, secrets),
            **self._write_routes(new),
            **self._write_clusters(new.clusters),
            **self._write_listener(new.listener),
        }

    async def apply(self, new: Configuration, secrets: Secrets, drain_timeout: float) -> None:
        """Brings `new` into force; returns when new requests follow it.  Draining goes on behind (`drained`).

        `drain_timeout` is in seconds.

        Raises EngineError if a file cannot be written or Envoy does not take it.
        """
        await self.stop_draining()
        added = self._write_secrets(new, secrets)
        added |= self._write_clusters({**self._clusters, **new.clusters})
        added |= self._write_listener(new.listener)
        await self._admin.in_force(added)
        await self._admin.in_force(self._write_routes(new))
        self._draining = asyncio.create_task(self._drain(new, drain_timeout))

    async def drained(self) -> None:
        """Waits until nothing of a former plan is left."""
        if self._draining:
            await self._draining

    async def stop_draining(self) -> None:
        """Leaves what is still draining to the next configuration."""
        if self._draining:
            self._draining.cancel()
            await asyncio.gather(self._draining, return_exceptions=True)
            self._draining = None

    async def _drain(self, new: Configuration, patience: float) -> None:
        former = [names.active_requests(name) for name in self._clusters if name not in new.clusters]
        clock = asyncio.get_running_loop().time
        deadline, quiet_since = clock() + patience, clock()
        while former and clock() < min(deadline, quiet_since + _QUIET_SECONDS):
            await asyncio.sleep(_POLL)
            if await self._busy(former):
                quiet_since = clock()
        self._write_clusters(new.clusters)
        self._remove_files(new)

    async def _busy(self, former: Sequence[str]) -> bool:
        """Whether any of these statistics says that something is not finished, or nobody can tell."""
        try:
            active = await self._admin.gauges(r"\.upstream_rq_active$")
        except EngineError:
            return True
        return any(active.get(statistic) for statistic in former)

    def _write_secrets(self, new: Configuration, secrets: Secrets) -> dict[str, str]:
        for name, path in new.key_files.items():
            if not path.exists():
                replace_file(path, secrets.keys[name])
        if secrets.certificate is None:
            return {}
        return {names.CERTIFICATE_VERSION: self._write(self._files.certificate, [secrets.certificate])}

    def _write_routes(self, new: Configuration) -> dict[str, str]:
        for path, text in new.plan_files.items():
            if not path.exists():
                replace_file(path, text)
        return {names.ROUTES_VERSION: self._write(self._files.routes, [new.routes])}

    def _write_clusters(self, clusters: dict[str, Resource]) -> dict[str, str]:
        version = self._write(self._files.clusters, clusters.values())
        self._clusters = clusters
        return {names.CLUSTERS_VERSION: version}

    def _write_listener(self, listener: Resource) -> dict[str, str]:
        return {names.LISTENERS_VERSION: self._write(self._files.listeners, [listener])}

    def _write(self, path: Path, resources: Iterable[Resource]) -> str:
        version, text = discovery(map(text_of, resources))
        if self._versions.get(path) != version:
            replace_file(path, text)
            self._versions[path] = version
        return version

    def _remove_files(self, new: Configuration) -> None:
        """Removes former plans, the keys of upstreams that are gone, and former ones of those that are not."""
        kept = {self._files.certificate, *new.key_files.values(), *new.plan_files}
        for path in {*self._files.secrets.iterdir(), *self._files.plans} - kept:
            path.unlink(missing_ok=True)
