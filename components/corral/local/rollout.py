"""Brings a new configuration into force while requests are under way, and loses none of them.

Order.  First everything is added that the new plan needs, keys too, and Envoy has warmed it up.  Then the weights and
the routes change: from then on new requests follow the new plan.  What the new plan does not need any more stays until
the requests it has begun are finished, at most for the drain timeout; only then is it removed.  Each file is replaced
by a rename, and each step waits until Envoy says that the version is in force.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from corral.local.admin import Admin
from corral.local.envoy import module, names
from corral.local.envoy.configuration import Configuration, Secrets, discovery
from corral.local.envoy.names import Files
from corral.local.envoy.resource import Resource, text_of, typed
from corral.local.envoy.statistics import ACTIVE_ATTEMPTS, active_attempts
from corral.local.envoy.upstream import Upstream
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
        self._key_files: dict[str, Path] = {}
        """By upstream; another key has another file."""
        self._versions: dict[Path, str] = {}
        self._draining: asyncio.Task[None] | None = None

    def write_all(self, new: Configuration, secrets: Secrets) -> dict[str, str]:
        """Writes a first configuration, for an Envoy that is not running yet; the versions to wait for."""
        return {
            **self._write_secrets(secrets),
            **self._write_attempt_filter(new.upstreams),
            **self._write_routes(new.routes),
            **self._write_clusters(new.clusters),
            **self._write_listeners(new.listeners),
        }

    async def apply(self, new: Configuration, secrets: Secrets, drain_timeout: float) -> None:
        """Brings `new` into force; returns when new requests follow it.  Draining goes on behind (`drained`).

        `drain_timeout` is in seconds.

        Raises EngineError if a file cannot be written or Envoy does not take it.
        """
        await self.stop_draining()
        added = self._write_secrets(secrets)
        added |= self._write_clusters({**new.clusters, **self._clusters})
        added |= self._write_listeners({**self._listeners, **new.listeners})
        added |= self._write_attempt_filter({**self._upstreams, **new.upstreams})
        await self._admin.in_force(added)
        await self._admin.in_force(
            {**self._write_clusters({**self._clusters, **new.clusters}), **self._write_routes(new.routes)}
        )
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
        former = [active_attempts(name) for name in self._upstreams if name not in new.upstreams]
        former += [names.active_requests(name) for name in self._clusters if name not in new.clusters]
        deadline = asyncio.get_running_loop().time() + patience
        while asyncio.get_running_loop().time() < deadline:
            if not await self._busy(former):
                break
            await asyncio.sleep(_POLL)
        await self._admin.in_force(self._write_attempt_filter(new.upstreams))
        self._write_listeners(new.listeners)
        self._write_clusters(new.clusters)
        self._remove_keys()

    async def _busy(self, former: Sequence[str]) -> bool:
        """Whether any of these statistics says that something is not finished, or nobody can tell."""
        if not former:
            return False
        try:
            active = await self._admin.gauges(rf"(\.upstream_rq_active$|^{ACTIVE_ATTEMPTS}\.)")
        except EngineError:
            return True
        return any(active.get(statistic) for statistic in former)

    def _write_secrets(self, secrets: Secrets) -> dict[str, str]:
        for name, value in secrets.keys.items():
            path = self._files.key(name, hashlib.sha256(value.encode()).hexdigest()[:16])
            if self._key_files.get(name) != path:
                replace_file(path, value)
                self._key_files[name] = path
        if secrets.certificate is None:
            return {}
        return {names.CERTIFICATE_VERSION: self._write(self._files.certificate, [secrets.certificate])}

    def _write_attempt_filter(self, upstreams: dict[str, Upstream]) -> dict[str, str]:
        self._upstreams = upstreams
        text = module.attempt_text(upstreams.values(), self._key_files)
        fields = {"name": names.ATTEMPT, "typed_config": module.filter_of(names.ATTEMPT, self._files, text)}
        config = typed("config.core.v3.TypedExtensionConfig", fields)
        return {names.filter_version(names.ATTEMPT): self._write(self._files.filter(names.ATTEMPT), [config])}

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

    def _remove_keys(self) -> None:
        """Removes the keys of upstreams that are gone, and former ones of those that are not."""
        self._key_files = {name: path for name, path in self._key_files.items() if name in self._upstreams}
        kept = {self._files.certificate, *self._key_files.values()}
        for path in self._files.secrets.iterdir():
            if path not in kept:
                path.unlink(missing_ok=True)
