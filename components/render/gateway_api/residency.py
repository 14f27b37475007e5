"""Who is served by which hosts of a model, where the residency of tenants leaves some of them out.

Policy.  Tenants for whom the same hosts are left go together.  Each such group has a rule of its own in the model's
route, before which nobody comes who is not in it: a caller of whom no rule knows is served by none.  Where the
residency of no tenant leaves out any host, one rule serves all.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from components.plan.plan import ModelPlan, TenantPlan
from components.plan.tenancy import served_to


@dataclass(frozen=True)
class Group:
    """Tenants who are served by the same hosts, and the model as they meet it."""

    tenants: tuple[str, ...]
    """In order of name; empty: all."""
    model: ModelPlan

    @property
    def hosts(self) -> tuple[str, ...]:
        """In order of name."""
        return tuple(sorted(target.host for target in self.model.targets))


def groups(model: ModelPlan, tenants: tuple[TenantPlan, ...]) -> tuple[Group, ...]:
    """Whoever may ask for the model: first those served by all of its hosts, of whom there may be none, then the others
    in order of their hosts."""
    by_hosts: defaultdict[tuple[str, ...], list[str]] = defaultdict(list)
    served: dict[tuple[str, ...], ModelPlan] = {}
    every = Group((), model)
    for tenant in tenants:
        if model.name in tenant.models:
            met = Group((tenant.name,), served_to(model, tenant))
            by_hosts[met.hosts].append(tenant.name)
            served[met.hosts] = met.model
    if set(by_hosts) <= {every.hosts}:
        return (every,)
    order = sorted(by_hosts, key=lambda hosts: (hosts != every.hosts, hosts))
    return tuple(Group(tuple(by_hosts[hosts]), served[hosts]) for hosts in order)
