"""The test world fails by itself on what Pulumi's mocks let pass."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import pulumi
import pulumi_aws as aws
import pulumi_kubernetes as kubernetes
import pytest

from corral.testing import NEVER, run
from corral.testing.recording import Secret
from corral.testing.schemas import closed
from corral.testing.world import manifests
from tests.kubernetes import crds

KEYS = {"corral:keys": {"lab": f"{NEVER}-lab"}}


def _key() -> pulumi.Output[str]:
    return pulumi.Config("corral").require_secret_object("keys").apply(lambda keys: keys["lab"])


class Part(pulumi.ComponentResource):
    """A component that makes what it is told to make."""

    def __init__(self, name: str, make: Callable[[pulumi.ResourceOptions], object]) -> None:
        super().__init__("corral:tests:Part", name)
        make(pulumi.ResourceOptions(parent=self))
        self.register_outputs({})


def _config_map(name: str, opts: pulumi.ResourceOptions | None = None, **data: Any) -> kubernetes.core.v1.ConfigMap:
    return kubernetes.core.v1.ConfigMap(name, metadata={"name": name}, data=data, opts=opts)


def _custom(spec: dict[str, Any], kind: str = "AIServiceBackend", version: str = "aigateway.envoyproxy.io/v1beta1"):
    return kubernetes.apiextensions.CustomResource(
        "custom", api_version=version, kind=kind, metadata={"name": "custom", "namespace": "llm"}, spec=spec
    )


_BACKEND = {"group": "gateway.envoyproxy.io", "kind": "Backend", "name": "lab"}
_OPEN = "urn:pulumi:test::corral::kubernetes:core/v1:ConfigMap::open"
_PART = "urn:pulumi:test::corral::corral:tests:Part::part"


def test_a_resource_is_shown_with_its_parent_its_options_and_its_inputs():
    def program() -> None:
        first = _config_map("first")
        Part(
            "part",
            lambda child: _config_map(
                "second",
                pulumi.ResourceOptions.merge(
                    child,
                    pulumi.ResourceOptions(
                        depends_on=[first],
                        protect=True,
                        aliases=[pulumi.Alias(name="old", parent=pulumi.ROOT_STACK_RESOURCE)],
                    ),
                ),
                key="value",
            ),
        )

    world = run(program)
    second = world["second"]
    assert (second.urn, second.parent, second.protect) == (
        "urn:pulumi:test::corral::corral:tests:Part$kubernetes:core/v1:ConfigMap::second",
        _PART,
        True,
    )
    assert second.dependencies == {world["first"].urn}
    assert second.aliases == ("urn:pulumi:test::corral::kubernetes:core/v1:ConfigMap::old",)
    assert second.inputs == {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "second"},
        "data": {"key": "value"},
    }
    assert [each.name for each in world.of_type("ConfigMap")] == ["second", "first"]


def test_an_input_that_was_another_ones_output_has_a_value_that_names_where_it_came_from():
    def program() -> None:
        role = aws.iam.Role("role", assume_role_policy="{}")
        cluster = aws.eks.Cluster("cluster", role_arn=role.arn, vpc_config={"subnet_ids": []})
        pulumi.export("ca", cluster.certificate_authority.data)

    world = run(program)
    assert world["cluster"].inputs["roleArn"] == "arn:aws:iam:us-east-1:123456789012:role-arn"
    assert world["cluster"].dependencies == {world["role"].urn}
    assert world.outputs == {"ca": "cluster-certificateAuthority-data"}


def test_a_function_of_a_provider_without_a_mock_result_is_named():
    with pytest.raises(Exception, match="aws:iam/getUser:getUser has no mock result: give it one"):
        run(lambda: aws.iam.get_user(user_name="me"))


def test_what_a_program_raises_is_raised_also_from_an_apply():
    def fails(_: str) -> None:
        raise LookupError("in an apply")

    with pytest.raises(LookupError, match="in an apply"):
        run(lambda: pulumi.Output.from_input("value").apply(fails) and None)


def test_one_run_leaves_nothing_to_the_next():
    first = run(lambda: _config_map("first"), config=KEYS)
    second = run(lambda: _config_map("second") and pulumi.export("keys", pulumi.Config("corral").get("keys")))
    assert [world.resources[0].name for world in (first, second)] == ["first", "second"]
    assert second.outputs == {}


def test_a_secret_stays_one_and_only_that_part_of_an_input_is_one():
    def program() -> None:
        kubernetes.core.v1.ConfigMap("map", metadata={"name": "map"}, data={"plain": "x", "key": _key()})
        pulumi.export("key", _key())

    world = run(program, config=KEYS)
    assert world["map"].inputs["data"] == {"plain": "x", "key": Secret(f"{NEVER}-lab")}
    assert world.outputs == {"key": Secret(f"{NEVER}-lab")}
    assert NEVER not in repr(world)


FAILURES = [
    pytest.param(
        lambda: (_config_map("twin"), _config_map("twin")),
        "urn:pulumi:test::corral::kubernetes:core/v1:ConfigMap::twin: registered 2 times; the engine refuses that",
        id="a_urn_registered_twice",
    ),
    pytest.param(
        lambda: Part("part", lambda _: _config_map("orphan")),
        "kubernetes:core/v1:ConfigMap orphan: made by corral:tests:Part and not its child; give it parent=self",
        id="an_orphan",
    ),
    pytest.param(
        lambda: _config_map("open", key=f"Bearer {NEVER}"),
        f"{_OPEN}: a secret stands in the open in inputs, at data.key",
        id="a_secret_in_an_input",
    ),
    pytest.param(
        lambda: _config_map("open", key=base64.b64encode(f"a {NEVER} key".encode()).decode()),
        f"{_OPEN}: a secret stands in the open in inputs, at data.key",
        id="a_secret_in_base64",
    ),
    pytest.param(
        lambda: pulumi.export("key", [NEVER]),
        "urn:pulumi:test::corral::pulumi:pulumi:Stack::corral-test: a secret stands in the open in outputs, at key[0]",
        id="a_secret_in_an_output",
    ),
    pytest.param(
        lambda: pulumi.warn(f"the key is {NEVER}"),
        "urn:pulumi:test::corral::pulumi:pulumi:Stack::corral-test: a secret stands in the open in warning, at message",
        id="a_secret_in_a_message",
    ),
    pytest.param(
        lambda: _config_map("wrong", key=5),
        "urn:pulumi:test::corral::kubernetes:core/v1:ConfigMap::wrong: data.key: 5 is not of type 'string', 'null'",
        id="a_value_of_a_wrong_type",
    ),
    pytest.param(
        lambda: kubernetes.core.v1.ConfigMap("empty", metadata={"name": "empty", "annotations": {}}),
        "urn:pulumi:test::corral::kubernetes:core/v1:ConfigMap::empty: metadata.annotations is empty, "
        "which no API server keeps; leave it out",
        id="an_empty_map_in_the_metadata",
    ),
    pytest.param(
        lambda: _custom({"schema": {"name": "OpenAI"}, "backendRef": _BACKEND, "rulez": []}),
        "urn:pulumi:test::corral::kubernetes:aigateway.envoyproxy.io/v1beta1:AIServiceBackend::custom: "
        "spec: Additional properties are not allowed ('rulez' was unexpected)",
        marks=crds.needed,
        id="a_field_that_a_custom_resource_does_not_have",
    ),
    pytest.param(
        lambda: _custom({"schema": {"name": "Gemini"}, "backendRef": _BACKEND}),
        "urn:pulumi:test::corral::kubernetes:aigateway.envoyproxy.io/v1beta1:AIServiceBackend::custom: "
        "spec.schema.name: 'Gemini' is not one of ['OpenAI', 'Cohere', 'AWSBedrock', 'AzureOpenAI', 'GCPVertexAI', "
        "'GCPAnthropic', 'Anthropic', 'AWSAnthropic']",
        marks=crds.needed,
        id="a_value_that_a_custom_resource_does_not_take",
    ),
]


@pytest.mark.parametrize(("program", "message"), FAILURES)
def test_the_world_fails_by_itself(program: Callable[[], object], message: str):
    with pytest.raises(AssertionError) as failed:
        run(program)
    assert str(failed.value) == message


@crds.needed
def test_a_custom_resource_as_its_schema_wants_it_passes():
    world = run(lambda: _custom({"schema": {"name": "OpenAI"}, "backendRef": _BACKEND}))
    assert world.unchecked == ()


def test_a_custom_resource_without_a_schema_is_told_apart():
    assert run(lambda: _custom({}, "Loop", "example.com/v1")).unchecked == ("example.com/v1/Loop",)


def test_a_schema_is_closed_wherever_it_names_its_fields():
    free = {"type": "object", "additionalProperties": {"type": "string"}}
    given = {
        "type": "object",
        "properties": {
            "labels": free,
            "port": {"x-kubernetes-int-or-string": True},
            "list": {"type": "array", "items": {"type": "object", "properties": {"name": {"type": "string"}}}},
            "any": {"properties": {"a": {}}, "x-kubernetes-preserve-unknown-fields": True},
        },
    }
    assert closed(given) == {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "labels": free,
            "port": {"x-kubernetes-int-or-string": True, "type": ["integer", "string"]},
            "list": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {"name": {"type": "string"}},
                    "additionalProperties": False,
                },
            },
            "any": {"properties": {"a": {}}, "x-kubernetes-preserve-unknown-fields": True},
        },
    }


def test_charts_are_no_manifests():
    def program() -> None:
        kubernetes.helm.v3.Release("release", chart="oci://example.com/chart", version="1.0.0")

    assert list(manifests(run(program))) == []
