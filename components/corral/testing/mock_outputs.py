"""The outputs of resources and functions that mocks give in place of a provider: the same in every run.

Policy.  A resource's outputs are its inputs, and of what only the provider knows that which the types of the SDK say is
always there; what may be absent is absent.  A Kubernetes object has its inputs alone, and its name.  An invented text
names its resource and its property, so that one that ends up in another resource changes only when the resource it came
from is another one.  Names, places and account numbers are those reserved for examples.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from itertools import takewhile
from typing import Any, Union, cast, get_args, get_origin, get_type_hints

import pulumi
import pulumi.dynamic

from corral.testing.recording import Secret

ACCOUNT = "123456789012"
SUBSCRIPTION = "01234567-89ab-cdef-0123-456789abcdef"
REGION = "us-east-1"
SECRET = "made-up-secret"  # noqa: S105
"""Every secret that the mocks invent begins like this."""

_DEEPEST = 5

InvokeResult = Callable[[Mapping[str, Any]], Mapping[str, Any]]
"""From the arguments of a function to its result."""

InvokeResults = Mapping[str, InvokeResult]
"""By function token."""

INVOKE_RESULTS: dict[str, InvokeResult] = {
    "aws:index/getAvailabilityZones:getAvailabilityZones": lambda args: {
        "id": args.get("region", REGION),
        "names": [f"{args.get('region', REGION)}{zone}" for zone in "abc"],
        "zoneIds": ["use1-az1", "use1-az2", "use1-az3"],
    },
    "aws:ec2/getInstanceTypeOfferings:getInstanceTypeOfferings": lambda args: {
        "id": args.get("region", REGION),
        "instanceTypes": args["filters"][0]["values"] * 3,
        "locationTypes": [args["locationType"]] * 3,
        "locations": [f"{args.get('region', REGION)}{zone}" for zone in "abc"],
    },
    "aws:ec2/getSubnet:getSubnet": lambda args: {
        "id": args["id"],
        "availabilityZone": f"{args.get('region', REGION)}-{args['id']}",  # each in a zone of its own
    },
    "aws:lb/getHostedZoneId:getHostedZoneId": lambda args: {
        "id": "Z26RNL4JYFTOTI",
        "loadBalancerType": args["loadBalancerType"],
        "region": args["region"],
    },
    "aws:index/getCallerIdentity:getCallerIdentity": lambda _: {
        "accountId": ACCOUNT,
        "arn": f"arn:aws:iam::{ACCOUNT}:user/deployer",
        "id": ACCOUNT,
        "userId": "deployer",
    },
    "aws:iam/getSessionContext:getSessionContext": lambda args: {
        "arn": args["arn"],
        "id": args["arn"],
        "issuerArn": args["arn"],
        "issuerId": "",
        "issuerName": "",
        "sessionName": "",
    },
    "azure-native:authorization:getClientConfig": lambda _: {
        "clientId": "deployer",
        "objectId": "deployer",
        "subscriptionId": SUBSCRIPTION,
        "tenantId": "tenant",
    },
    "azure-native:cognitiveservices:listAccountKeys": lambda args: {
        "key1": f"{SECRET}-{args.get('accountName', '')}-1",
        "key2": f"{SECRET}-{args.get('accountName', '')}-2",
    },
}
"""The results of all functions of providers that the components call."""


class NoInvokeResultError(Exception):
    """A program calls a function of a provider that has no mock result."""


def physical_id(name: str) -> str:
    """A resource's id at its provider."""
    return f"{name}-id"


def outputs(
    cls: type | None, type_: str, name: str, inputs: Mapping[str, Any], secret: Collection[str]
) -> dict[str, Any]:
    """The outputs of a resource; `secret` are the properties that the SDK marks as secret."""
    kubernetes = type_.startswith("kubernetes:")
    invented = _members(cls, name, _service(type_), 0) if cls and not kubernetes else {}
    hidden = {key: f"{SECRET}-{value}" for key, value in invented.items() if key in secret and isinstance(value, str)}
    merged = _merged(invented | hidden, inputs)
    if kubernetes:
        merged["metadata"] = {"name": name} | (merged.get("metadata") or {})
    return {
        key: Secret(value) if key in secret and not isinstance(value, Secret) else value
        for key, value in merged.items()
    }


def _merged(invented: Mapping[str, Any], inputs: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(invented)
    for key, value in inputs.items():
        below = merged.get(key)
        if isinstance(below, dict) and isinstance(value, dict):
            merged[key] = _merged(cast("dict[str, Any]", below), cast("dict[str, Any]", value))
        else:
            merged[key] = value
    return merged


def _members(cls: type, name: str, service: str, depth: int) -> dict[str, Any]:
    """Per property of a resource or an output type, under the provider's name for it, an invented value."""
    values = {key: _value(hint, f"{name}-{key}", key, service, depth) for key, hint in _hints(cls)}
    return {key: value for key, value in values.items() if value is not None}


def _hints(cls: type) -> Iterator[tuple[str, Any]]:
    """The properties with their types: those of the generated SDKs, and those that a dynamic resource annotates."""
    for own in dir(cls):
        getter = getattr(getattr(cls, own), "fget", None)
        if key := getattr(getter, "_pulumi_name", None):
            yield key, _unwrapped(get_type_hints(getter).get("return"))
    if issubclass(cls, pulumi.dynamic.Resource):
        for base in takewhile(lambda base: base is not pulumi.dynamic.Resource, cls.__mro__):
            for key, hint in inspect.get_annotations(base, eval_str=True).items():
                yield key, _unwrapped(hint)


def _unwrapped(hint: Any) -> Any:
    return get_args(hint)[0] if get_origin(hint) is pulumi.Output else hint


def _value(hint: Any, name: str, key: str, service: str, depth: int) -> Any:
    """None: it may be absent, or no value can be invented.

    Where a part is there, its own parts are too: pulumi-aws says of all of them that they may be absent.
    """
    if get_origin(hint) is Union and type(None) in get_args(hint):
        hint = get_args(hint)[0] if depth else None
    if depth > _DEEPEST:
        return None
    if hint is str:
        return _text(name, key, service)
    if hint is int:
        return 0
    if hint is bool:
        return False
    if isinstance(hint, type) and getattr(hint, "_pulumi_output_type", False):
        return _members(hint, name, service, depth + 1)
    origin, args = get_origin(hint), get_args(hint)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return {}
    if isinstance(origin, type) and args and origin is not Union and hasattr(origin, "__getitem__"):
        item = _value(args[0], f"{name}-0", key, service, depth)
        return [] if item is None else [item]
    return None


def _text(name: str, key: str, service: str) -> str:
    if re.search("arn$", key, re.IGNORECASE):
        return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{name}"
    if re.search("(endpoint|url|uri)$", key, re.IGNORECASE):
        return f"https://{re.sub('[^a-z0-9-]', '-', name.lower())}.example.com"
    return name


def _service(type_: str) -> str:
    """`eks` of `aws:eks/cluster:Cluster`."""
    return type_.split(":")[1].partition("/")[0] if type_.count(":") > 1 else type_
