"""What tenants with a budget have spent, in a file that Envoy's workers map and the module counts in (`budget.c`).

Policy.  The file outlives runs and edits: a tenant keeps its place in it, and what it has spent, while its budget is
changed or taken out.  It gives its place to another tenant only when the file is full and the month is over in which it
spent last.  A file that is damaged is moved aside, and counting begins at nothing: that is reported, and ends no run.
In a rehearsal, where all hosts are simulated, another file is counted in; where some are, those cost nothing.

    record 0   "corral budgets 1"
    record n   name of the tenant, 64 bytes; day since 1970, spent in it; month since the year 0, spent in it

Numbers have 64 bits and the order of the machine; money is in millionths of a micro-dollar.  What requests under way
could cost at most counts as spent.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Literal

from pydantic import ConfigDict
from pydantic.alias_generators import to_camel

from corral.local.envoy.module import BudgetFile
from corral.local.errors import EngineError
from corral.local.state_folder import StateFolder
from corral.plan.money import dollars
from corral.plan.plan import Plan

_RECORD = struct.Struct("=64s4q")
_MARK = b"corral budgets 1"
_RECORDS = 4_096
_EPOCH = date(1970, 1, 1)

_MICRO_DOLLAR = 10**6
_NOTICED_PERCENT = (90, 100)


@dataclass(frozen=True)
class Spent:
    """What a tenant has spent on a day and in its month, in millionths of a micro-dollar."""

    day: int
    month: int


@dataclass(frozen=True)
class BudgetStatus:
    """A tenant's budget of the day or of the month, in micro-dollars."""

    __pydantic_config__ = ConfigDict(alias_generator=to_camel)

    tenant: str
    window: Literal["day", "month"]
    limit: int
    used: int
    """Rounded up; what requests under way could cost at most is in it."""
    refuses: bool
    """Whether requests that might cost more than is left are refused."""


def _numbers(today: date) -> tuple[int, int]:
    return (today - _EPOCH).days, today.year * 12 + today.month - 1


class Budgets:
    """The files of one stack."""

    def __init__(self, folder: StateFolder, notify: Callable[[str], None]) -> None:
        self._folder = folder
        self._notify = notify
        self.path = folder.budgets
        """The file that is counted in."""
        self._opened: dict[Path, dict[str, int]] = {}
        """By file the tenants' places in it."""
        self._noticed: set[tuple[date, str, str, int]] = set()

    def file(self, plan: Plan, simulated: Mapping[str, str | None]) -> BudgetFile | None:
        """The file with a place for each tenant of the plan that has a budget; None: none has.  Raises EngineError."""
        wanted = [tenant.name for tenant in plan.tenants if tenant.budget]
        if not wanted:
            return None
        rehearsal = all(simulated.values())
        self.path = self._folder.rehearsed_budgets if rehearsal else self._folder.budgets
        try:
            if self.path not in self._opened:
                self._opened[self.path] = self._open()
            places = self._opened[self.path]
            for name in wanted:
                if name not in places:
                    self._take(name, places, {tenant.name for tenant in plan.tenants})
        except OSError as reason:
            why = f"{self.path}, where what tenants spend is kept, cannot be used: {reason.strerror}."
            raise EngineError(why) from None
        free = frozenset(host for host, why in simulated.items() if why and not rehearsal)
        return BudgetFile(self.path, {name: places[name] for name in wanted}, free)

    def report(self, plan: Plan) -> None:
        """Says once a day which of them is nearly used up, and which is."""
        today = datetime.now(UTC).date()
        for each in budget_status(self.path, plan):
            for percent in _NOTICED_PERCENT:
                notice = (today, each.tenant, each.window, percent)
                if 100 * each.used >= percent * each.limit and notice not in self._noticed:
                    self._noticed.add(notice)
                    then = "refused" if each.refuses else "served all the same"
                    self._notify(
                        f"{each.tenant} has used {percent}% of its {dollars(each.limit)} of the {each.window}; "
                        f"requests beyond that are {then}."
                    )

    def _open(self) -> dict[str, int]:
        if self.path.exists() and (wrong := _damage(self.path.read_bytes())):
            aside = self.path.with_name(f"{self.path.name}.damaged-{datetime.now(UTC):%Y%m%dT%H%M%S}")
            self.path.rename(aside)
            self._notify(
                f"{self.path} {wrong}: it was moved to {aside.name}. What tenants have spent of their budgets is "
                "counted from nothing; corral usage has it from the log."
            )
        if not self.path.exists():
            self._write_new()
        return {name: place for place, name in _names(self.path.read_bytes())}

    def _write_new(self) -> None:
        """All of it at once: what a full disk could not take later would end Envoy."""
        new = self.path.with_name(f"{self.path.name}.new")
        new.touch(mode=0o600)
        with new.open("r+b") as file:
            file.write(_MARK.ljust(_RECORD.size, b"\0") + bytes(_RECORD.size * (_RECORDS - 1)))
            file.flush()
            os.fsync(file.fileno())
        new.replace(self.path)

    def _take(self, name: str, places: dict[str, int], present: set[str]) -> None:
        """Gives a tenant a place; where none is free that of one who has none in the plan, and has spent nothing."""
        place = next(iter(sorted({*range(1, _RECORDS)} - {*places.values()})), None)
        if place is None:
            month = _numbers(datetime.now(UTC).date())[1]
            idle = (each for each, record in _read(self.path).items() if each not in present and record[2] < month)
            place = places.pop(next(idle, ""), None)
        if place is None:
            raise EngineError(
                f"{self.path} has room for {_RECORDS - 1:,} tenants with a budget in a month, and no more: take the "
                "budget from some."
            )
        with self.path.open("r+b") as file:
            file.seek(place * _RECORD.size)
            file.write(_RECORD.pack(name.encode(), 0, 0, 0, 0))
        places[name] = place


def spent(path: Path, plan: Plan, today: date | None = None) -> dict[str, Spent]:
    """Of the tenants that have a budget, on this day."""
    day, month = _numbers(today or datetime.now(UTC).date())
    records = _read(path) if any(tenant.budget for tenant in plan.tenants) else {}
    of_tenants: dict[str, Spent] = {}
    for tenant in plan.tenants:
        if tenant.budget:
            day_of, spent_of_day, month_of, spent_of_month = records.get(tenant.name, (0, 0, 0, 0))
            of_tenants[tenant.name] = Spent(spent_of_day * (day_of == day), spent_of_month * (month_of == month))
    return of_tenants


def budget_status(path: Path, plan: Plan) -> tuple[BudgetStatus, ...]:
    """All budgets of a plan, as they stand today."""
    of_tenants = spent(path, plan)
    return tuple(
        BudgetStatus(
            tenant=tenant.name,
            window=window,
            limit=limit,
            used=-(-getattr(of_tenants[tenant.name], window) // _MICRO_DOLLAR),
            refuses=tenant.budget.at_limit == "refuse",
        )
        for tenant in plan.tenants
        if tenant.budget
        for window, limit in tenant.budget.windows
    )


def _damage(data: bytes) -> str | None:
    """What is wrong with the file."""
    if len(data) != _RECORD.size * _RECORDS:
        return f"has {len(data):,} bytes, not {_RECORD.size * _RECORDS:,}"
    if not data.startswith(_MARK + b"\0"):
        return "does not begin as a file of budgets of this version"
    last_day, last_month = _numbers(datetime.now(UTC).date() + timedelta(1))
    seen: set[bytes] = set()
    for name, day, spent_of_day, month, spent_of_month in _RECORD.iter_unpack(data[_RECORD.size :]):
        text = name.rstrip(b"\0")
        in_order = min(spent_of_day, spent_of_month) >= 0 and 0 <= day <= last_day and 0 <= month <= last_month
        if text and (not in_order or text in seen or not text.replace(b"-", b"").isalnum()):
            return "has a record that cannot be right"
        seen.add(text)
    return None


def _names(data: bytes) -> list[tuple[int, str]]:
    records = enumerate(_RECORD.iter_unpack(data))
    return [(place, text.decode()) for place, (name, *_) in records if place and (text := name.rstrip(b"\0"))]


def _read(path: Path) -> dict[str, tuple[int, int, int, int]]:
    """By tenant what its record holds; nothing where there is no such file, or it is another one."""
    try:
        data = path.read_bytes()
    except OSError:
        return {}
    if len(data) != _RECORD.size * _RECORDS:
        return {}
    names = dict(_names(data))
    return {names[place]: record[1:] for place, record in enumerate(_RECORD.iter_unpack(data)) if place in names}
