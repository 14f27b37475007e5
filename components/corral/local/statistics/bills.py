"""A bill beside what was metered: what a host charges for, what the log has, and why the two differ.

Three kinds of bill are read, and told apart by their columns: AWS's Cost and Usage Report 2.0, a cost export of Azure,
and a plain CSV.  AWS calls what it charges for `USE1-Llama3-3-70B-input-tokens` (its price list; the four endings are
in "Understanding your Amazon Bedrock Cost and Usage Report data"), in 1K tokens.  Azure's meters are found by the words
in their names.  What a name has of a model is compared by letters and digits alone.

Policy.  Nothing is explained away: the causes of a difference sum to it exactly.  What retries, requests without a
count and cut answers can explain at most is bounded by what the log has of them; what is left of the tokens was not
asked through this gateway, or is not billed yet, and what is left of the money is the price.
"""

from __future__ import annotations

import csv
import gzip
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Literal

from corral.local.statistics.cost import DOLLAR, UsageError
from corral.local.statistics.usage import Group, Sums
from corral.plan.plan import Plan, Price, Target

Kind = Literal["input", "cached", "output"]

_CUR = {
    *("line_item_line_item_type", "line_item_product_code", "line_item_usage_type", "line_item_usage_start_date"),
    *("line_item_usage_amount", "pricing_unit", "line_item_unblended_cost", "line_item_currency_code"),
}
"""Columns of CUR 2.0 (AWS Data Exports, table COST_AND_USAGE_REPORT)."""

_AZURE = {"date", "metersubcategory", "metername", "quantity", "unitofmeasure", "costinbillingcurrency"}
"""Columns of Azure's cost and usage details, in small letters, since their spelling differs between agreements."""

_PLAIN = {"host", "model", "kind", "tokens", "dollars"}
"""Columns of a plain bill, whose `kind` is input, cached or output; `day` may stand beside them."""

FORMATS = "AWS's CUR 2.0, a cost export of Azure, or a CSV with the columns host, model, kind, tokens, dollars"

_USAGE_TYPE = re.compile(
    r"(?:[A-Z]{2,4}[0-9]-)?(?P<model>.+?)(?:-mantle)?-(?P<kind>cache-read-input|cache-write-input|input|output)"
    r"-token(?:s|-count)(?:-.*)?"
)
_CUR_KINDS: dict[str, Kind] = {"cache-read-input": "cached", "output": "output"}
_UNIT = re.compile(r"(?P<number>[0-9]*) ?(?P<scale>[KM]?)(?: ?tokens?)?", re.IGNORECASE)
_SCALES = {"": 1, "K": 1_000, "M": 1_000_000}


@dataclass(frozen=True)
class Charge:
    """One line of a bill that is for tokens."""

    host: str
    """The host of a plain bill; of a cloud's the kind, `bedrock` or `azure`."""
    cloud: bool
    name: str
    """What the bill calls it."""
    kind: Kind
    tokens: int
    millionths: int
    """Of a micro-dollar."""
    day: date | None

    def is_of(self, target: Target) -> bool:
        """Whether the target's host sends this bill."""
        return self.host == (target.kind if self.cloud else target.host)


def read_bill(content: bytes, name: str) -> list[Charge]:
    """What a bill charges for tokens.  Raises UsageError."""
    try:
        text = (gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content).decode("utf-8-sig")
        rows = csv.DictReader(io.StringIO(text))
        columns = set(rows.fieldnames or ())
        lower = {column.lower(): column for column in columns}
        if columns >= _CUR:
            return [*_cur(rows)]
        if lower.keys() >= _AZURE:
            return [*_azure({key: row[column] for key, column in lower.items()} for row in rows)]
        if columns >= _PLAIN:
            return [*_plain(rows)]
    except (UnicodeDecodeError, OSError, EOFError, csv.Error) as why:
        raise UsageError(f"{name} cannot be read: {why}. It must be {FORMATS}, as it is or with gzip.") from None
    except (ValueError, InvalidOperation, TypeError, KeyError) as why:
        raise UsageError(f"{name} has a line that cannot be read: {why}") from None
    lacking = min((_CUR - columns, _AZURE - lower.keys(), _PLAIN - columns), key=len)
    raise UsageError(f"{name} is no bill that is known: it lacks {', '.join(sorted(lacking))}. It must be {FORMATS}.")


def _cur(rows: csv.DictReader[str]) -> Iterator[Charge]:
    for row in rows:
        match = _USAGE_TYPE.fullmatch(row["line_item_usage_type"])
        if row["line_item_line_item_type"] != "Usage" or row["line_item_product_code"] != "AmazonBedrock" or not match:
            continue
        _in_dollars(row["line_item_currency_code"])
        yield Charge(
            host="bedrock",
            cloud=True,
            name=match["model"],
            kind=_CUR_KINDS.get(match["kind"], "input"),
            tokens=_tokens(row["line_item_usage_amount"], row["pricing_unit"]),
            millionths=_money(row["line_item_unblended_cost"]),
            day=datetime.fromisoformat(row["line_item_usage_start_date"]).date(),
        )


def _azure(rows: Iterator[Mapping[str, str]]) -> Iterator[Charge]:
    for row in rows:
        name = f"{row['metersubcategory']} {row['metername']}".strip()
        words = name.lower()
        if "llama" not in words or (kind := _azure_kind(words)) is None:
            continue
        _in_dollars(row.get("billingcurrency") or row.get("billingcurrencycode") or "")
        written = row["date"]
        day = datetime.strptime(written, "%m/%d/%Y") if "/" in written else datetime.fromisoformat(written)  # noqa: DTZ007
        tokens = _tokens(row["quantity"], row["unitofmeasure"])
        yield Charge("azure", True, name, kind, tokens, _money(row["costinbillingcurrency"]), day.date())


def _azure_kind(words: str) -> Kind | None:
    if "cache" in words or "cchd" in words:
        return "cached"
    return "input" if re.search(r"\binp", words) else "output" if re.search(r"\bout", words) else None


def _plain(rows: csv.DictReader[str]) -> Iterator[Charge]:
    for row in rows:
        kind: Kind | None = next((each for each in _KINDS if each == row["kind"]), None)
        if kind is None:
            raise ValueError(f"{row['kind']!r} is none of {', '.join(_KINDS)}")
        day = date.fromisoformat(row["day"]) if row.get("day") else None
        yield Charge(row["host"], False, row["model"], kind, _tokens(row["tokens"], ""), _money(row["dollars"]), day)


_KINDS: tuple[Kind, ...] = ("input", "cached", "output")


def _in_dollars(currency: str) -> None:
    if currency != "USD":
        raise ValueError(f"it is in {currency or 'no currency'}, and prices are in USD: export it in USD")


def _tokens(amount: str, unit: str) -> int:
    match = _UNIT.fullmatch(unit.strip())
    if match is None:
        raise ValueError(f"{unit!r} is no unit of tokens that is known")
    number = int(match["number"] or 1) * _SCALES[match["scale"].upper()]
    return int((Decimal(amount) * number).to_integral_value())


def _money(dollars: str) -> int:
    return int((Decimal(dollars) * DOLLAR).to_integral_value())


@dataclass(frozen=True)
class Billed:
    """What a bill has of one model at one host."""

    input: int = 0
    """Tokens that were not cached."""
    cached: int = 0
    output: int = 0
    millionths: int = 0

    @property
    def tokens(self) -> int:
        return self.input + self.cached + self.output

    def plus(self, charge: Charge) -> Billed:
        """With one line more."""
        more = {charge.kind: getattr(self, charge.kind) + charge.tokens}
        return replace(self, **more, millionths=self.millionths + charge.millionths)


@dataclass(frozen=True)
class Cause:
    """Why a bill differs, and by how much of it: millionths of a micro-dollar, more billed than metered."""

    name: str
    millionths: int
    tokens: int = 0
    """Likewise."""


@dataclass(frozen=True)
class Reconciled:
    """One model at one host."""

    host: str
    """Several of one cloud, which its bill does not tell apart, with ` + ` between them."""
    model: str
    """What the bill calls it where no model of the stack is that."""
    metered: Sums
    billed: Billed
    causes: tuple[Cause, ...]
    planned: bool = True
    """Whether the stack has the model at that host: what others buy there is shown, and is no drift of this stack."""

    @property
    def difference(self) -> int:
        """Millionths, more billed than metered; what was metered without a price counts as nothing."""
        return self.billed.millionths - self.metered.millionths

    def drifts(self, percent: float) -> bool:
        """Whether tokens or money differ by more than so many percent of the larger side."""
        if not self.planned:
            return False
        sides = (
            (self.metered.input_tokens, self.billed.input + self.billed.cached),
            (self.metered.output_tokens, self.billed.output),
            (self.metered.millionths, self.billed.millionths),
        )
        return any(abs(one - other) * 100 > percent * max(one, other) for one, other in sides)


_OTHERS = "no model that the stack has at this host"


def _letters(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())


def _model(charge: Charge, plan: Plan) -> str | None:
    """The model of the stack that a line is for: the one with the longest name that fits."""
    bare = _letters(charge.name)
    fitting = [
        model.name
        for model, target in plan.targets
        if charge.is_of(target)
        and (_letters(model.name) in bare or bare in _letters(f"{target.model_id} {target.base_model or ''}"))
    ]
    return max(fitting, key=len) if fitting else None


def reconcile(charges: Sequence[Charge], metered: Mapping[Group, Sums], plan: Plan) -> list[Reconciled]:
    """Each model at each host of the bill; `metered`: by model and host."""
    rows: dict[tuple[str, str], tuple[Sums, Price | None]] = {}
    places: dict[tuple[str, str], tuple[str, str]] = {}
    for charge in {each.host: each for each in charges}.values():
        for model in plan.models:
            targets = [target for target in model.targets if charge.is_of(target)]
            whole = Sums()
            for target in targets:
                whole.join(metered.get((model.name, target.host), Sums()))
            if targets:
                place = (" + ".join(sorted(target.host for target in targets)), model.name)
                places[charge.host, model.name] = place
                rows[place] = (whole, targets[0].price)
    billed = dict.fromkeys(rows, Billed())
    for charge in charges:
        place = places.get((charge.host, _model(charge, plan) or ""), (charge.host, charge.name))
        billed[place] = billed.get(place, Billed()).plus(charge)
    result: list[Reconciled] = []
    for place, each in sorted(billed.items()):
        own, price = rows.get(place, (Sums(), None))
        retries = sum(sums.retries for (model, _), sums in metered.items() if model == place[1])
        if own.requests or each != Billed():
            planned = place in rows
            causes = _causes(own, each, price, retries) if planned else [Cause(_OTHERS, each.millionths, each.tokens)]
            result.append(Reconciled(*place, own, each, tuple(causes), planned))
    return result


def _causes(metered: Sums, billed: Billed, price: Price | None, retries: int) -> Iterator[Cause]:
    prompts = billed.input + billed.cached - metered.input_tokens
    answers = billed.output - metered.output_tokens
    if price is None:
        if billed.millionths or metered.unpriced_tokens:
            yield Cause("unpriced: what this should cost is not known", billed.millionths, prompts + answers)
        return
    left = billed.millionths - metered.millionths
    cached = price.input if price.cached_input is None else price.cached_input
    causes: list[Cause] = []

    def cause(name: str, of_prompts: int, of_answers: int, money: int | None = None) -> None:
        by_price = of_prompts * price.input + of_answers * price.output
        causes.append(Cause(name, by_price if money is None else money, of_prompts + of_answers))

    uncached = metered.cached_tokens - billed.cached
    cause("cached tokens: billed as others", 0, 0, uncached * (price.input - cached))
    mean_prompt = -(-metered.input_tokens // (metered.requests or 1))
    mean_answer = -(-metered.output_tokens // (metered.requests or 1))
    twice = min(max(prompts, 0), retries * mean_prompt)
    cause(f"retries billed twice: at most, of {retries} of the model", twice, 0)
    unsaid = min(max(prompts, 0) - twice, metered.uncounted * mean_prompt)
    unsaid_answers = min(max(answers, 0), metered.uncounted * mean_answer)
    cause(f"requests without a count: {metered.uncounted}", unsaid, unsaid_answers)
    rest = answers - unsaid_answers
    cut = max(-metered.estimated_tokens, min(metered.estimated_tokens, rest))
    cause("answers that were cut off: their tokens are an estimate", 0, cut)
    elsewhere = "not through this gateway, or gone from its log"
    simulated = f" ({metered.simulated} requests were simulated)" if metered.simulated else ""
    not_billed = f"metered and not billed, or not yet{simulated}"
    for of_prompts, of_answers in ((prompts - twice - unsaid, 0), (0, rest - cut)):
        cause(elsewhere if of_prompts + of_answers > 0 else not_billed, of_prompts, of_answers)
    cause("price: another than the stack has", 0, 0, left - sum(each.millionths for each in causes))
    yield from (each for each in causes if each.tokens or each.millionths)
