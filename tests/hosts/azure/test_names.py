import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corral.hosts.azure.component import account_name


@pytest.mark.parametrize(
    ("group", "want"),
    [
        ("azure-group1a2b3c4d", "azure-group1a2b3c4d"),
        ("Azure_Group.1A2B3C4D", "azure-group-1a2b3c4d"),
        (f"{'a' * 70}1a2b3c4d", f"{'a' * 56}1a2b3c4d"),
    ],
)
def test_an_account_is_called_as_its_resource_group(group: str, want: str):
    assert account_name(group) == want


@given(st.from_regex(r"[A-Za-z0-9_.()-]{1,82}[0-9a-f]{8}", fullmatch=True))
def test_every_name_is_one_that_azure_takes_and_keeps_the_random_end(group: str):
    name = account_name(group)
    assert re.fullmatch(r"[a-z0-9][a-z0-9-]{0,62}[a-z0-9]", name)
    assert name.endswith(group[-8:])
