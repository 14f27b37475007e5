"""`corral explain`: one model's plan in words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import typer

from corral.cli.project import CommandError, StackOption, load
from corral.cli.terminal import console
from corral.config.problems import ConfigError, correction
from corral.plan.explain import explain as explanation


def _complete_model(context: typer.Context, incomplete: str) -> Iterator[str]:
    try:
        models = load(context.params.get("stack") or "local").plan.models
    except ConfigError:
        return
    yield from (model.name for model in models if model.name.startswith(incomplete))


def explain(
    model: Annotated[str, typer.Argument(help="The name clients ask for.", autocompletion=_complete_model)],
    stack: StackOption = "local",
) -> None:
    """Say in words where a request for a model can go, in which order, with which limits, and why."""
    loaded = load(stack)
    named = next((each for each in loaded.plan.models if each.name == model), None)
    if named is None:
        raise CommandError(f"{loaded.file} has no model {model!r}{correction(model, loaded.plan.model_names)}")
    console().out(explanation(named, loaded.plan, loaded.findings), highlight=False)
