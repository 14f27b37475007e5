"""What is read where Pulumi stops: the reason without a page of traceback, and the way out of what was cut off before.

A process that is killed leaves things on the cluster that its state does not have.  Nothing of it is adopted by itself:
an object or a release of that name may be somebody else's, and two owners of one definition would take it from each
other.  So the operator says so, once, with the command that stands in the message; docs/day-2.md has the whole table.
"""

from __future__ import annotations

from collections.abc import Sequence

import grpc
import pulumi
from pulumi.runtime import settings
from pulumi.runtime.proto import resource_pb2

from corral.hosts.base import on_mocks

_IN_USE = ("cannot re-use a name that is still in use", "another operation (install/upgrade/rollback) is in progress")
"""Helm 3.18, of a release whose record says that something is under way with it."""

_PENDING = "pending-install,pending-upgrade,pending-rollback"


def adoption(stack: str) -> str:
    """The command that takes over what an `up` made which was cut off."""
    return f"PULUMI_K8S_UPSERT_EXISTING_OBJECTS=true pulumi up -s {stack}"


def end_without_traceback(stack: str) -> None:
    """From now on an error of the engine ends the program with its text.

    Pulumi's SDK raises it as a bare Exception, for which its host writes a page of traceback after the errors of the
    resources that were the reason.  Seen with pulumi 3.272.0 and an engine 3.276.0; goes when it raises a RunError.
    """

    def run_error(error: grpc.RpcError) -> pulumi.RunError:
        call = error if isinstance(error, grpc.Call) else None
        if call is None or call.code() not in (grpc.StatusCode.CANCELLED, grpc.StatusCode.UNAVAILABLE):
            return pulumi.RunError(str(call.details() if call else error))
        return pulumi.RunError(
            "Pulumi stopped before all was done. Where a resource failed, the reason stands at its name. One that "
            "already exists, as an `up` of this stack was cut off after it had made it, is taken over by: "
            f"{adoption(stack)}"
        )

    settings.grpc_error_to_exception = run_error


def release_way_out(namespace: str, release: str, errors: Sequence[str]) -> str | None:
    """What to do about a release that Helm does not touch, as something is under way with it; None: that is not why."""
    if not any(text in error for text in _IN_USE for error in errors):
        return None
    selector = f"owner=helm,name={release},status in ({_PENDING})"
    return (
        f"an `up` was cut off while Helm was at work on {release}, or somebody else has a release of that name. This "
        "takes away what the first one left, and nothing else; then run `pulumi up` again: "
        f"kubectl -n {namespace} delete secret -l '{selector}'"
    )


def release_hooks(namespace: str, release: str) -> pulumi.ResourceHookBinding | None:
    """What says so when the release fails; None on mocks, and for an engine that does not tell of failures."""
    if on_mocks() or not settings.monitor_supports_feature(resource_pb2.RESOURCE_MONITOR_FEATURE_ERROR_HOOKS):
        return None

    def explain(args: pulumi.ErrorHookArgs) -> bool:
        if why := release_way_out(namespace, release, args.errors):
            pulumi.log.error(why)
        return False

    return pulumi.ResourceHookBinding(on_error=[pulumi.ErrorHook(f"corral-release-{release}", explain)])
