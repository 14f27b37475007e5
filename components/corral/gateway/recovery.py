"""What is read where Pulumi stops: the reason without a page of traceback, and the way out of what was cut off before.

A process that is killed leaves things on the cluster that its state does not have.  Nothing of it is adopted by itself:
an object or a release of that name may be somebody else's, and two owners of one definition would take it from each
other.  So the operator says so, once, with the command that stands in the message; docs/day-2.md has the whole table.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Sequence
from types import FrameType

import grpc
import pulumi
from pulumi.runtime import settings

_IN_USE = "cannot re-use a name that is still in use"
_UNDER_WAY = "another operation (install/upgrade/rollback) is in progress"
"""What Helm 3.18 says of a release to be installed, or to be upgraded, of which it has a record."""

_SHOWN = 32
"""The exit status of a program whose errors have been shown (`pulumi-language-python-exec`)."""

_PENDING = ",status in (pending-install,pending-upgrade,pending-rollback)"

_EXISTS = "already exists"
"""What a cluster says of an object that is to be created; pulumi-kubernetes passes it on."""


def adoption(stack: str) -> str:
    """The command that takes over what an `up` made which was cut off."""
    return f"PULUMI_K8S_UPSERT_EXISTING_OBJECTS=true pulumi up -s {stack}"


def way_out(stack: str, args: pulumi.ErrorHookArgs) -> str | None:
    """What to do about what is on the cluster without the state knowing of it; None: that is not why it failed."""
    if not args.type.startswith("kubernetes:"):
        return None
    if args.type.endswith(":Release"):
        release = args.new_inputs or args.old_inputs or {}
        return release_way_out(release["namespace"], release["name"], args.errors)
    return object_way_out(stack, args.errors)


def object_way_out(stack: str, errors: Sequence[str]) -> str | None:
    """What to do about an object that is there without the state knowing of it; None: that is not why."""
    if not any(_EXISTS in error for error in errors):
        return None
    return (
        "It is there, and this stack does not know of it: an `up` was cut off after it had made it, or it is somebody "
        f"else's. If it is this stack's, take it over: {adoption(stack)}"
    )


def end_without_traceback(stack: str) -> None:
    """From now on an error of the engine, or its interrupt, ends the program with a text.

    Pulumi's SDK raises it as a bare Exception, for which its host writes a page of traceback after the errors of the
    resources that were the reason, and another where the engine interrupts the program in the midst of it.  Seen with
    pulumi 3.272.0 and an engine 3.276.0; goes when it raises a RunError.
    """

    stopped = (
        "Pulumi stopped before all was done. Where a resource failed, the reason stands at its name. One that "
        "already exists, as an `up` of this stack was cut off after it had made it, is taken over by: "
        f"{adoption(stack)}"
    )

    def run_error(error: grpc.RpcError) -> pulumi.RunError:
        call = error if isinstance(error, grpc.Call) else None
        if call is None or call.code() not in (grpc.StatusCode.CANCELLED, grpc.StatusCode.UNAVAILABLE):
            return pulumi.RunError(str(call.details() if call else error))
        return pulumi.RunError(stopped)

    def end(_number: int, _frame: FrameType | None) -> None:
        sys.stderr.write(f"{stopped}\n")
        sys.stderr.flush()
        os._exit(_SHOWN)  # what hangs on the engine is not waited for

    settings.grpc_error_to_exception = run_error
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, end)


def release_way_out(namespace: str, release: str, errors: Sequence[str]) -> str | None:
    """What to do about a release that Helm does not touch because of its record; None: that is not why.

    The record of one that is to be installed may well say `deployed`: the provider goes on when Pulumi is killed.
    """
    reasons = {text: any(text in error for error in errors) for text in (_IN_USE, _UNDER_WAY)}
    if not any(reasons.values()):
        return None
    which = f"owner=helm,name={release}{'' if reasons[_IN_USE] else _PENDING}"
    return (
        f"Helm has a record of {release} in {namespace} that this stack does not know of: an `up` was cut off while "
        "Helm was at work, or it is somebody else's. If it is this stack's, take the record away, which leaves what "
        f"was installed, and run `pulumi up` again: kubectl -n {namespace} delete secret -l '{which}'"
    )
