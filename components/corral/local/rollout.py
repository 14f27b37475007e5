"""Brings a new configuration into force while requests are under way, and loses none of them.

Order.  First everything is added that the new plan needs, and Envoy has warmed it up: a key is read for the cluster
that names it, and only then do the upstream filters name it too.  Then the weights and the routes change: from then
on new requests follow the new plan.  What the new plan does not need any more stays until the requests it has begun are
finished, at most for the drain timeout; only then is it removed, from the filters first.  Each file is replaced by a
rename, and each step waits until Envoy says that the version is in force.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from corral.local.admin import Admin
from corral.local.envoy import names
from corral.local.envoy.configuration import Configuration, discovery
from corral.local.envoy.names import Files
from corral.local.envoy.resource import Resource, text_of
from corral.local.envoy.statistics import ACTIVE_ATTEMPTS, active_attempts
from corral.local.envoy.upstream import Upstream, filters
from corral.local.errors import EngineError
from corral.local.state_folder import replace_file

_POLL = 0.1


class Rollout:
    """The files of one Envoy, and what is in force."""

    def __init__(self, files: Files, admin: Admin) -> None:
        self._files = files
        self._admin = admin
        self._clusters: dict[str, str] = {}
        """What the file of clusters holds, former ones included; likewise those below."""
        self._listeners: dict[str, Resource] = {}
        self._upstreams: dict[str, Upstream] = {}
        self._versions: dict[Path, str] = {}
        self._draining: asyncio.Task[None] | None = None

    def write_all(self, new: Configuration, secrets: Mapping[str, Resource]) -> dict[str, str]:
        """Writes a first configuration, for an Envoy that is not running yet; the versions to wait for."""
        return {
            **self._write_secrets(secrets),
            **self._write_filters(new.upstreams),
            **self._write_routes(new.routes),
            **self._write_clusters(new.clusters),
            **self._write_listeners(new.listeners),
        }

    async def apply(self, new: Configuration, secrets: Mapping[str, Resource], drain_timeout: float) -> None:
        """Brings `new` into force; returns when new requests follow it.  Draining goes on behind (`drained`).

        `secrets` are by upstream, `drain_timeout` is in seconds.

        Raises EngineError if a file cannot be written or Envoy does not take it.
        """
        await self.stop_draining()
        added = self._write_secrets(secrets)
        added |= self._write_clusters({**new.clusters, **self._clusters})
        added |= self._write_listeners({**self._listeners, **new.listeners})
        await self._admin.in_force(added)
        await self._admin.in_force(self._write_filters({**self._upstreams, **new.upstreams}))
        await self._admin.in_force(
            {**self._write_clusters({**self._clusters, **new.clusters}), **self._write_routes(new.routes)}
        )
        self._draining = asyncio.create_task(self._drain(new, secrets, drain_timeout))

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

    async def _drain(self, new: Configuration, secrets: Iterable[str], patience: float) -> None:
        former = [active_attempts(name) for name in self._upstreams if name not in new.upstreams]
        former += [names.active_requests(name) for name in self._clusters if name not in new.clusters]
        deadline = asyncio.get_running_loop().time() + patience
        while asyncio.get_running_loop().time() < deadline:
            if not await self._busy(former):
                break
            await asyncio.sleep(_POLL)
        await self._admin.in_force(self._write_filters(new.upstreams))
        self._write_listeners(new.listeners)
        self._write_clusters(new.clusters)
        self._remove_secrets(secrets)

    async def _busy(self, former: Sequence[str]) -> bool:
        """Whether any of these statistics says that something is not finished, or nobody can tell."""
        if not former:
            return False
        try:
            active = await self._admin.gauges(rf"(\.upstream_rq_active$|^{ACTIVE_ATTEMPTS}\.)")
        except EngineError:
            return True
        return any(active.get(statistic) for statistic in former)

    def _write_secrets(self, secrets: Mapping[str, Resource]) -> dict[str, str]:
        return {
            names.secret_version(name): self._write(self._files.secret(name), [resource])
            for name, resource in secrets.items()
        }

    def _write_filters(self, upstreams: dict[str, Upstream]) -> dict[str, str]:
        self._upstreams = upstreams
        return {
            names.filter_version(name): self._write(self._files.filter(name), [config])
            for name, config in filters(upstreams.values(), self._files).items()
        }

    def _write_routes(self, table: Resource) -> dict[str, str]:
        return {names.ROUTES_VERSION: self._write(self._files.routes, [table])}

    def _write_clusters(self, clusters: dict[str, str]) -> dict[str, str]:
        version = self._versions.get(self._files.clusters)
        if version is None or clusters != self._clusters:
            version = self._write_texts(self._files.clusters, clusters.values())
            self._clusters = clusters
        return {names.CLUSTERS_VERSION: version}

    def _write_listeners(self, listeners: dict[str, Resource]) -> dict[str, str]:
        version = self._write(self._files.listeners, listeners.values())
        self._listeners = listeners
        return {names.LISTENERS_VERSION: version}

    def _write(self, path: Path, resources: Iterable[Resource]) -> str:
        return self._write_texts(path, map(text_of, resources))

    def _write_texts(self, path: Path, texts: Iterable[str]) -> str:
        version, text = discovery(texts)
        if self._versions.get(path) != version:
            replace_file(path, text)
            self._versions[path] = version
        return version

    def _remove_secrets(self, used: Iterable[str]) -> None:
        """Removes the keys of upstreams that are gone."""
        kept = {self._files.secret(name) for name in used}
        for path in [path for path in self._versions if path.parent == self._files.secret("").parent]:
            if path not in kept:
                path.unlink(missing_ok=True)
                del self._versions[path]
