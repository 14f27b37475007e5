"""Names in Azure, and how they are made.

Policy.  A deleted account keeps its name, and its subdomain, for 48 hours unless it is purged: creating it again under
that name fails with FlagMustBeSetForRestore.  So an account is called as its resource group, whose name Pulumi makes
with a random end once and keeps for as long as the group lives: the same through every update, another one after the
stack was destroyed and made anew.
"""

from __future__ import annotations

import re

_LONGEST = 64


def account_name(resource_group: str) -> str:
    """The account's name and subdomain: 2 to 64 lower-case letters, digits and `-`, an alphanumeric at either end.

    The end of a longer name is kept, since it is the random part.
    """
    return re.sub(r"[^a-z0-9-]", "-", resource_group.lower())[-_LONGEST:].strip("-")
