"""The clusters of models as they stand in Envoy's file.

At a move nearly all models stay as they are, and what has stayed is not rendered again.  The text of a model depends on
nothing but its plan, the links and the limits, and all three are compared whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from components.plan.plan import Limits, ModelPlan
from components.render.envoy.clusters import model_clusters
from components.render.envoy.link import Link
from components.render.envoy.names import text_of


class ModelTexts:
    """Those of the latest plan."""

    def __init__(self) -> None:
        self._for_all: tuple[dict[str, Link], Limits] | None = None
        self._known: dict[str, tuple[ModelPlan, dict[str, str]]] = {}

    def of(self, models: Iterable[ModelPlan], links: Mapping[str, Link], limits: Limits) -> dict[str, str]:
        """The clusters of these models, by name."""
        for_all = dict(links), limits
        before = self._known if for_all == self._for_all else {}
        known: dict[str, tuple[ModelPlan, dict[str, str]]] = {}
        for model in models:
            same = before.get(model.name)
            if same is None or same[0] != model:
                clusters = model_clusters(model, links, limits)
                same = model, {cluster["name"]: text_of(cluster) for cluster in clusters}
            known[model.name] = same
        self._for_all, self._known = for_all, known
        return {name: text for _, texts in known.values() for name, text in texts.items()}
