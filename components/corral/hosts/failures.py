"""The failures of hosts: heard here, and held until the other hosts serve.

Policy.  Once a resource has failed Pulumi begins nothing more, so that one host without a quota would leave every model
without a route.  So whatever belongs to a host has an error hook.  It reports the host with the reason, and keeps the
engine in it until the gateway has routed the hosts that are there.  Then the resource fails as ever, in its provider's
own words, and `pulumi up` with it: nothing is deleted, and the next one tries again.  Everything else has the hook too:
once something fails that is no host's, no route is to come, and nothing is held any more.

The hook has one name for all hosts, so that it is registered when what a former host has left is deleted.
`--continue-on-error` is no way: it deletes the routes that are to go although those that come were not made, and ends
all the same where a provider refuses what is asked of it before it is made (pkg/resource/deploy of the engine 3.276).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import pulumi
from pulumi.runtime import settings
from pulumi.runtime.proto import resource_pb2

from corral.hosts.base import on_mocks

_NAME = "corral-host"
_REASON_LENGTH = 500
"""Characters of a reason in a message; the engine prints all of it."""


class HostFailures:
    """Those of one program; nothing is held on mocks, nor by an engine without error hooks."""

    def __init__(
        self, held_seconds: float, way_out: Callable[[pulumi.ErrorHookArgs], str | None] | None = None
    ) -> None:
        """`held_seconds`: the longest time for which a failure is held, should the gateway never be done.  `way_out`:
        what is to be said of what has failed, beside its errors."""
        self._held_seconds, self._way_out = held_seconds, way_out
        self._hosts: dict[tuple[str, str], str] = {}
        self._reasons: dict[str, str] = {}
        self._waiting: list[tuple[str, asyncio.Future[str]]] = []
        self._routed = asyncio.Event()
        self._binding: pulumi.ResourceHookBinding | None = None
        if not on_mocks() and settings.monitor_supports_feature(resource_pb2.RESOURCE_MONITOR_FEATURE_ERROR_HOOKS):
            self._binding = pulumi.ResourceHookBinding(on_error=[pulumi.ErrorHook(_NAME, self._hold)])
            pulumi.runtime.register_stack_transformation(self._attach)

    def options(self, host: str) -> pulumi.ResourceOptions:
        """For what belongs to a host, its component included: a failure of it, or of a child, is the host's."""
        if self._binding is None:
            return pulumi.ResourceOptions()

        def note(args: pulumi.ResourceTransformationArgs) -> None:
            self._hosts[args.type_, args.name] = host

        return pulumi.ResourceOptions(transformations=[note])

    def _attach(self, args: pulumi.ResourceTransformationArgs) -> pulumi.ResourceTransformationResult | None:
        if not isinstance(args.resource, pulumi.CustomResource):
            return None
        hooked = pulumi.ResourceOptions(hooks=self._binding)
        return pulumi.ResourceTransformationResult(args.props, pulumi.ResourceOptions.merge(args.opts, hooked))

    def report(self, host: str, reason: str) -> None:
        """The host has failed; its first reason stays."""
        kept = self._reasons.setdefault(host, " ".join(reason.split())[:_REASON_LENGTH])
        for waited_for, future in self._waiting:
            if waited_for == host and not future.done():
                future.set_result(kept)

    def of(self, host: str) -> asyncio.Future[str]:
        """Why the host has failed, once it has."""
        future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        if reason := self._reasons.get(host):
            future.set_result(reason)
        else:
            self._waiting.append((host, future))
        return future

    def release(self) -> None:
        """Lets what has failed end, now and later."""
        self._routed.set()

    async def _hold(self, args: pulumi.ErrorHookArgs) -> bool:
        host = self._hosts.get((args.type, args.name))
        if self._way_out and (why := self._way_out(args)):
            pulumi.log.error(why)
        if host is None:
            self.release()
        elif args.failed_operation != "delete":
            self.report(host, args.errors[0])
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._routed.wait(), self._held_seconds)
        return False
