"""The stand-in for pulumi-kubernetes finds the differences that the real one finds, and replaces what it replaces."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.pulumi_engine.stand_ins.cluster import Cluster
from tests.pulumi_engine.stand_ins.store import Store

Differences = Callable[..., tuple[list[str], list[str], bool]]


def thing(type_: str, **properties: Any) -> tuple[str, dict[str, Any]]:
    """A type token and an object of it."""
    api, _, kind = type_.rpartition(":")
    api = api.partition(":")[2].removeprefix("core/")
    return type_, {"apiVersion": api, "kind": kind, "metadata": {"name": "it", "namespace": "llm"}, **properties}


SECRET = thing("kubernetes:core/v1:Secret", stringData={"apiKey": "one"})
CONFIG_MAP = thing("kubernetes:core/v1:ConfigMap", data={"ca.crt": "one"})
SELECTOR = {"matchLabels": {"app": "redis"}}
DEPLOYMENT = thing("kubernetes:apps/v1:Deployment", spec={"replicas": 1, "selector": SELECTOR})
SERVICE = thing("kubernetes:core/v1:Service", spec={"selector": {"app": "redis"}})
JOB = thing(
    "kubernetes:batch/v1:Job", spec={"template": {"spec": {"containers": [{"image": "one"}]}}, "backoffLimit": 1}
)
CLASS = thing("kubernetes:storage.k8s.io/v1:StorageClass", provisioner="ebs", parameters={"type": "gp3"})
ROUTE = thing(
    "kubernetes:aigateway.envoyproxy.io/v1beta1:AIGatewayRoute", spec={"rules": [{"name": "a"}, {"name": "b"}]}
)
RELEASE = ("kubernetes:helm.sh/v3:Release", {"name": "it", "namespace": "llm", "values": {"replicas": 1}})


@pytest.fixture
def differences(tmp_path: Path) -> Differences:
    """What differs, what of it forces a replacement, and whether the old one goes first."""

    def found(
        before: tuple[str, Mapping[str, Any]], now: Mapping[str, Any], options: Mapping[str, Any]
    ) -> tuple[list[str], list[str], bool]:
        cluster = Cluster("kubernetes", Store(tmp_path))
        cluster.configure(options)
        type_, inputs = before
        outputs = cluster.outputs(type_, "it", inputs, "llm/it", None)
        changed, replaced, first = cluster.diff(type_, inputs, outputs, {**inputs, **now})
        return sorted(map(_dotted, changed)), sorted(map(_dotted, replaced)), first

    return found


def _dotted(path: tuple[str | int, ...]) -> str:
    return ".".join(map(str, path))


MUTABLE = {"enableSecretMutable": "true", "enableConfigMapMutable": True}


@pytest.mark.parametrize("thing", [SECRET, CONFIG_MAP, DEPLOYMENT, SERVICE, JOB, CLASS, ROUTE, RELEASE])
def test_nothing_differs_in_what_was_sent_again(thing: tuple[str, dict[str, Any]], differences: Differences):
    assert differences(thing, {}, {}) == ([], [], False)


def in_place(*paths: str) -> tuple[list[str], list[str], bool]:
    return [*paths], [], False


def replaced(*paths: str) -> tuple[list[str], list[str], bool]:
    """The old one first, as both have one name."""
    return [*paths], [*paths], True


@pytest.mark.parametrize(
    ("before", "now", "options", "want"),
    [
        (SECRET, {"stringData": {"apiKey": "two"}}, {}, replaced("data.apiKey")),
        (SECRET, {"stringData": {"apiKey": "two"}}, MUTABLE, in_place("data.apiKey")),
        (SECRET, {"stringData": {"apiKey": "one", "more": "x"}}, MUTABLE, in_place("data.more")),
        (SECRET, {"type": "kubernetes.io/tls"}, MUTABLE, replaced("type")),
        ((SECRET[0], {**SECRET[1], "immutable": True}), {"data": {"more": "eA=="}}, MUTABLE, replaced("data.more")),
        (CONFIG_MAP, {"data": {"ca.crt": "two"}}, {"enableSecretMutable": True}, replaced("data.ca.crt")),
        (CONFIG_MAP, {"data": {"ca.crt": "two"}}, MUTABLE, in_place("data.ca.crt")),
        (DEPLOYMENT, {"spec": {**DEPLOYMENT[1]["spec"], "replicas": 2}}, {}, in_place("spec.replicas")),
        (DEPLOYMENT, {"spec": {"replicas": 1, "selector": {}}}, {}, replaced("spec.selector.matchLabels")),
        (SERVICE, {"spec": {"selector": {"app": "x"}}}, {}, in_place("spec.selector.app")),
        (SERVICE, {"spec": {**SERVICE[1]["spec"], "clusterIP": "None"}}, {}, replaced("spec.clusterIP")),
        (JOB, {"spec": {**JOB[1]["spec"], "backoffLimit": 2}}, {}, in_place("spec.backoffLimit")),
        (JOB, {"spec": {"backoffLimit": 1}}, {}, replaced("spec.template")),
        (CLASS, {"parameters": {"type": "io2"}}, {}, replaced("parameters.type")),
        (ROUTE, {"spec": {"rules": [{"name": "a"}]}}, {}, in_place("spec.rules.1")),
        (ROUTE, {"metadata": {**ROUTE[1]["metadata"], "labels": {"a": "b"}}}, {}, in_place("metadata.labels")),
        (RELEASE, {"values": {"replicas": 2}}, {}, in_place("values.replicas")),
    ],
)
def test_what_differs_is_changed_in_place_or_replaced(
    before: tuple[str, dict[str, Any]],
    now: dict[str, Any],
    options: dict[str, Any],
    want: tuple[list[str], list[str], bool],
    differences: Differences,
):
    assert differences(before, now, options) == want


@pytest.mark.parametrize(
    ("before", "now", "path"),
    [
        (ROUTE, {"metadata": {"name": "it", "namespace": "other"}}, "metadata.namespace"),
        (RELEASE, {"name": "other"}, "name"),
    ],
)
def test_what_gets_another_name_is_made_before_the_old_one_goes(
    before: tuple[str, dict[str, Any]], now: dict[str, Any], path: str, differences: Differences
):
    assert differences(before, now, {}) == ([path], [path], False)


@pytest.mark.parametrize(
    ("before", "want"),
    [(ROUTE, ["metadata.annotations"]), (SECRET, ["metadata.annotations"]), (DEPLOYMENT, []), (CONFIG_MAP, [])],
)
def test_an_empty_map_in_the_metadata_of_what_the_provider_has_no_type_for_is_a_difference_for_ever(
    before: tuple[str, dict[str, Any]], want: list[str], differences: Differences
):
    type_, inputs = before
    empty = {**inputs, "metadata": {**inputs["metadata"], "annotations": {}}}
    assert differences((type_, empty), {}, MUTABLE) == (want, [], False)


def test_what_a_server_adds_is_no_difference_until_the_program_says_something_of_it(differences: Differences):
    namespace = ("kubernetes:core/v1:Namespace", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "llm"}})
    labels = {"metadata": {"name": "llm", "labels": {"kubernetes.io/metadata.name": "llm"}}}
    assert differences(namespace, {}, {}) == ([], [], False)
    assert differences(namespace, labels, {}) == (["metadata.labels"], [], False)
    assert differences((namespace[0], {**namespace[1], **labels}), {}, {}) == ([], [], False)


@pytest.mark.parametrize("kind", ["Pod", "PersistentVolume"])
def test_a_kind_whose_rules_are_not_here_is_refused(kind: str, differences: Differences):
    with pytest.raises(NotImplementedError, match=kind):
        differences(thing(f"kubernetes:core/v1:{kind}", spec={"a": 1}), {"spec": {"a": 2}}, {})
