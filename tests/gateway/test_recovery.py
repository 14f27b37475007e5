from __future__ import annotations

import signal

import grpc
import pulumi
import pytest
from pulumi.runtime import settings

from corral.gateway.recovery import end_without_traceback, object_way_out, release_way_out, way_out

IN_USE = "cannot re-use a name that is still in use"
UNDER_WAY = "error running update: another operation (install/upgrade/rollback) is in progress"

BEGINNING = (
    "Helm has a record of cert-manager in certificates that this stack does not know of: an `up` was cut off while "
    "Helm was at work, or it is somebody else's. If it is this stack's, take the record away, which leaves what was "
    "installed, and run `pulumi up` again: kubectl -n certificates delete secret -l "
)


STOPPED = (
    "Pulumi stopped before all was done. Where a resource failed, the reason stands at its name. One that already "
    "exists, as an `up` of this stack was cut off after it had made it, is taken over by: "
    "PULUMI_K8S_UPSERT_EXISTING_OBJECTS=true pulumi up -s prod"
)


@pytest.mark.parametrize(
    ("error", "selector"),
    [
        (IN_USE, "'owner=helm,name=cert-manager'"),
        (
            UNDER_WAY,
            "'owner=helm,name=cert-manager,status in (pending-install,pending-upgrade,pending-rollback)'",
        ),
    ],
    ids=["an install", "an upgrade, whose revision before it is in force"],
)
def test_a_release_that_was_cut_off_is_let_go_by_its_record(error: str, selector: str):
    assert release_way_out("certificates", "cert-manager", [error]) == BEGINNING + selector


@pytest.mark.parametrize(
    ("kind", "error", "beginning"),
    [
        ("kubernetes:helm.sh/v3:Release", IN_USE, BEGINNING),
        ("kubernetes:core/v1:Secret", 'secrets "a" already exists', "It is there, and this stack does not know of it"),
        ("aws:eks/cluster:Cluster", "the cluster already exists", None),
    ],
)
def test_the_way_out_is_that_of_what_has_failed(kind: str, error: str, beginning: str | None):
    release = {"namespace": "certificates", "name": "cert-manager"}
    args = pulumi.ErrorHookArgs("urn", "id", "name", kind, release, failed_operation="create", errors=[error])
    why = way_out("prod", args)
    assert (why or "").startswith(beginning) if beginning else why is None


def test_any_other_error_of_a_release_speaks_for_itself():
    assert release_way_out("certificates", "cert-manager", ["timed out waiting for the condition"]) is None


class RefusedCall(grpc.RpcError, grpc.Call):  # pyright: ignore[reportIncompatibleMethodOverride] (the stubs differ)
    def __init__(self, code: grpc.StatusCode, details: str) -> None:
        self._code, self._details = code, details

    def code(self) -> grpc.StatusCode:
        return self._code

    def details(self) -> str:
        return self._details


RefusedCall.__abstractmethods__ = frozenset()


@pytest.mark.parametrize(
    ("code", "want"),
    [
        (grpc.StatusCode.UNKNOWN, "context canceled"),
        (grpc.StatusCode.CANCELLED, STOPPED),
    ],
)
def test_an_error_of_the_engine_ends_the_program_in_a_sentence(
    code: grpc.StatusCode, want: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(settings, "grpc_error_to_exception", settings.grpc_error_to_exception)
    monkeypatch.setattr(signal, "signal", lambda number, _: interrupts.append(number))
    interrupts: list[int] = []
    end_without_traceback("prod")
    assert interrupts == [signal.SIGINT]
    with pytest.raises(pulumi.RunError) as ended:
        settings.handle_grpc_error(RefusedCall(code, "context canceled"))  # pyright: ignore[reportAbstractUsage]
    assert str(ended.value) == want


def test_an_object_that_was_cut_off_is_taken_over_by_a_command_that_its_error_has_beside_it():
    error = 'resource cert-manager/cert-manager was not created: networkpolicies "cert-manager" already exists'
    assert object_way_out("prod", [error]) == (
        "It is there, and this stack does not know of it: an `up` was cut off after it had made it, or it is somebody "
        "else's. If it is this stack's, take it over: PULUMI_K8S_UPSERT_EXISTING_OBJECTS=true pulumi up -s prod"
    )
    assert object_way_out("prod", ["timed out waiting for the condition"]) is None
