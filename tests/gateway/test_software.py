from __future__ import annotations

from typing import Any, cast

import pulumi
import pytest

from corral.gateway.software import definition_without_prose

DEFINITION = "kubernetes:apiextensions.k8s.io/v1:CustomResourceDefinition"


def transformed(type_: str, spec: dict[str, Any]) -> pulumi.ResourceTransformResult | None:
    props = {"kind": type_.rpartition(":")[2], "metadata": {"name": "it"}, "spec": spec}
    return definition_without_prose(pulumi.ResourceTransformArgs(True, type_, "it", props, pulumi.ResourceOptions()))


def test_a_definition_loses_the_prose_of_its_schemas_and_nothing_else():
    field = {"type": "string", "description": "A field that is called so.", "enum": ["description"]}
    schema = {
        "description": "All of it.",
        "type": "object",
        "default": {"description": "a value"},
        "required": ["description"],
        "properties": {
            "description": field,
            "properties": {"type": "object", "properties": {"name": field}},
            "any": {"anyOf": [{"description": "One."}, {"items": field}]},
        },
        "x-kubernetes-validations": [{"rule": "self.size() > 0", "message": "description must not be empty"}],
    }

    result = transformed(DEFINITION, {"group": "example.com", "versions": [{"schema": {"openAPIV3Schema": schema}}]})

    bare = {"type": "string", "enum": ["description"]}
    assert result is not None
    props = cast("dict[str, Any]", result.props)
    assert props["spec"]["versions"][0]["schema"]["openAPIV3Schema"] == {
        "type": "object",
        "default": {"description": "a value"},
        "required": ["description"],
        "properties": {
            "description": bare,
            "properties": {"type": "object", "properties": {"name": bare}},
            "any": {"anyOf": [{}, {"items": bare}]},
        },
        "x-kubernetes-validations": [{"rule": "self.size() > 0", "message": "description must not be empty"}],
    }
    assert {key: value for key, value in result.props.items() if key != "spec"} == {
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "it"},
    }


@pytest.mark.parametrize("type_", ["kubernetes:core/v1:Service", "kubernetes:helm.sh/v4:Chart"])
def test_what_is_no_definition_stays_as_it_is(type_: str):
    assert transformed(type_, {"description": "kept"}) is None
