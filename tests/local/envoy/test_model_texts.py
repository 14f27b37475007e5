"""The texts of models' clusters: whatever was rendered before, they are those of the plan."""

from __future__ import annotations

import json
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from corral.local.envoy.clusters import ModelTexts, model_clusters
from corral.local.envoy.upstream import Link
from corral.plan.plan import Limits, ModelPlan
from tests.plan.world import model

LIMITS = Limits(5_000, 120_000, 600_000, 10_000, 50 * 2**20)
SLOWER = replace(LIMITS, connect_timeout=9_000)
HOSTS = ("bedrock", "lab")


def links(port: int) -> dict[str, Link]:
    return {host: Link(host, f"http://127.0.0.1:{port}/v1", None, None) for host in HOSTS}


def models(shares: dict[str, int]) -> list[ModelPlan]:
    return [replace(model(shares={"bedrock": share, "lab": 100 - share}), name=name) for name, share in shares.items()]


PLANS = st.tuples(
    st.dictionaries(st.sampled_from(["a", "b", "c"]), st.sampled_from([0, 40, 60])).map(models),
    st.sampled_from([1, 2]).map(links),
    st.sampled_from([LIMITS, SLOWER]),
)


@given(st.lists(PLANS, min_size=1, max_size=4))
def test_the_texts_are_those_of_the_plan_whatever_came_before(
    plans: list[tuple[list[ModelPlan], dict[str, Link], Limits]],
) -> None:
    texts = ModelTexts()
    for each, reached, limits in plans:
        found = texts.of(each, reached, limits)
        clusters = [cluster for one in each for cluster in model_clusters(one, reached, limits)]
        assert {name: json.loads(text) for name, text in found.items()} == {one["name"]: one for one in clusters}
        assert list(found) == [one["name"] for one in clusters]


def test_what_has_not_changed_is_not_rendered_again() -> None:
    texts = ModelTexts()
    before = texts.of(models({"a": 40, "b": 40}), links(1), LIMITS)
    after = texts.of(models({"a": 60, "b": 40}), links(1), LIMITS)
    assert {name for name in after if after[name] is not before[name]} == {"model/a", "model/a shares"}
