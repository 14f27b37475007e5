"""What an engine would do between two runs of a program."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pulumi
import pulumi_aws as aws
import pulumi_kubernetes as kubernetes
import pytest

from corral.testing import Change, Changes, changes, run
from corral.testing.recording import NO_RESOURCES

MAP = "kubernetes:core/v1:ConfigMap"


def config_map(name: str = "map", opts: pulumi.ResourceOptions | None = None, called: str = "map", **data: Any) -> None:
    kubernetes.core.v1.ConfigMap(name, metadata={"name": called}, data=data, opts=opts)


def role(**more: Any) -> aws.iam.Role:
    return aws.iam.Role("role", assume_role_policy="{}", **more)


class Part(pulumi.ComponentResource):
    """A component with one child."""

    def __init__(self, name: str, aliases: list[pulumi.Alias] | None = None) -> None:
        super().__init__("corral:tests:Part", name)
        config_map("child", pulumi.ResourceOptions(parent=self, aliases=[*(aliases or [])]))
        self.register_outputs({})


CASES = [
    pytest.param(lambda: config_map(key="a"), lambda: config_map(key="a"), Changes(), id="nothing"),
    pytest.param(
        lambda: config_map(key="a", gone="x"),
        lambda: config_map(key="b", new="x"),
        Changes(update=(Change(MAP, "map", ("data.gone", "data.key", "data.new")),)),
        id="an_update_names_each_path",
    ),
    pytest.param(
        lambda: config_map(called="one"),
        lambda: config_map(called="two"),
        Changes(replace=(Change(MAP, "map", ("metadata.name",)),)),
        id="another_name_replaces",
    ),
    pytest.param(
        lambda: role(name="one", description="x"),
        lambda: role(name="two", description="y"),
        Changes(replace=(Change("aws:iam/role:Role", "role", ("description", "name")),)),
        id="a_replacement_takes_the_other_differences_with_it",
    ),
    pytest.param(
        lambda: config_map("one"),
        lambda: config_map("two"),
        Changes(create=(Change(MAP, "two", ()),), delete=(Change(MAP, "one", ()),)),
        id="another_logical_name_is_another_resource",
    ),
    pytest.param(
        lambda: config_map("one"),
        lambda: config_map("two", pulumi.ResourceOptions(aliases=[pulumi.Alias(name="one")])),
        Changes(),
        id="unless_an_alias_says_otherwise",
    ),
    pytest.param(
        lambda: config_map("child"),
        lambda: Part("part", [pulumi.Alias(parent=pulumi.ROOT_STACK_RESOURCE)]),
        Changes(create=(Change("corral:tests:Part", "part", ()),)),
        id="an_alias_with_another_parent",
    ),
    pytest.param(
        lambda: role(tags={}),
        lambda: role(tags={"stack": "prod"}),
        Changes(update=(Change("aws:iam/role:Role", "role", ("tags", "tags.stack")),)),
        id="what_was_empty",
    ),
    pytest.param(
        lambda: config_map(key="a"),
        lambda: config_map(opts=pulumi.ResourceOptions(ignore_changes=["data"]), key="b"),
        Changes(),
        id="what_the_resource_ignores",
    ),
    pytest.param(
        lambda: config_map(key="a"),
        lambda: config_map(opts=pulumi.ResourceOptions(replace_on_changes=["data.key"]), key="b"),
        Changes(replace=(Change(MAP, "map", ("data.key",)),)),
        id="what_the_resource_wants_replaced",
    ),
    pytest.param(
        lambda: config_map(key=pulumi.Output.secret("a")),
        lambda: config_map(key=pulumi.Output.secret("b")),
        Changes(update=(Change(MAP, "map", ("data.key",)),)),
        id="another_secret",
    ),
    pytest.param(
        lambda: config_map(key="a"),
        lambda: config_map(key=pulumi.Output.secret("a")),
        Changes(update=(Change(MAP, "map", ("data.key",)),)),
        id="what_becomes_a_secret",
    ),
    pytest.param(
        lambda: kubernetes.core.v1.ConfigMap.get("there", "llm/one"),
        lambda: kubernetes.core.v1.ConfigMap.get("there", "llm/two"),
        Changes(),
        id="what_is_only_looked_up",
    ),
]


@pytest.mark.parametrize(("before", "after", "want"), CASES)
def test_two_runs_differ_as_an_engine_would_see_it(
    before: Callable[[], object], after: Callable[[], object], want: Changes
):
    assert changes(run(before), run(after)) == want


def test_everything_of_a_stack_that_is_new_is_created():
    world = run(lambda: Part("part"))
    want = (Change("corral:tests:Part", "part", ()), Change(MAP, "child", ()))
    assert changes(NO_RESOURCES, world) == Changes(create=want)
    assert changes(world, NO_RESOURCES) == Changes(delete=want)


def test_an_output_changes_with_the_resource_it_came_from_and_not_with_what_that_was_given():
    def program(description: str, logical: str) -> None:
        role = aws.iam.Role(logical, assume_role_policy="{}", description=description)
        kubernetes.core.v1.ConfigMap("map", metadata={"name": "map"}, data={"role": role.arn})

    first = run(lambda: program("x", "role"))
    assert changes(first, run(lambda: program("y", "role"))) == Changes(
        update=(Change("aws:iam/role:Role", "role", ("description",)),)
    )
    assert changes(first, run(lambda: program("x", "other"))) == Changes(
        create=(Change("aws:iam/role:Role", "other", ()),),
        update=(Change(MAP, "map", ("data.role",)),),
        delete=(Change("aws:iam/role:Role", "role", ()),),
    )
