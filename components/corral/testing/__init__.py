"""The Pulumi program on recording mocks: what it would register, without an engine, an account or a network.

For tests of your own stacks; `docs/testing.md` tells the rest.

    from corral.testing import processed_outside, read_plan, run_stack

    PROD = "stacks/Pulumi.prod.yaml"

    def test_no_request_of_production_leaves_the_eu():
        assert processed_outside(read_plan(PROD), "eu") == []

    def test_the_cluster_is_reached_from_within_its_network_only():
        world = run_stack(PROD)  # fails by itself on orphans, URNs used twice, secrets in the open, broken manifests
        assert world["cluster-cluster"].inputs["vpcConfig"]["endpointPublicAccess"] is False
"""

from corral.testing.changes import Change, Changes, changes
from corral.testing.mock_outputs import INVOKE_RESULTS
from corral.testing.recording import Recorded, Secret, World
from corral.testing.stacks import (
    any_shares,
    errors,
    processed_outside,
    read_plan,
    run_stack,
    stack_schema,
    touched_besides_routes,
)
from corral.testing.world import NEVER, run

__all__ = [
    "INVOKE_RESULTS",
    "NEVER",
    "Change",
    "Changes",
    "Recorded",
    "Secret",
    "World",
    "any_shares",
    "changes",
    "errors",
    "processed_outside",
    "read_plan",
    "run",
    "run_stack",
    "stack_schema",
    "touched_besides_routes",
]
