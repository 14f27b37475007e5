"""What an idle stack costs is what the program makes, times prices with their source."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
import yaml

from corral.testing.recording import World
from corral.testing.stacks import read_version, run_program
from docs.cost_reference import EXAMPLES, FILE, PRICES, page, recorded, rows, table
from tests.docs.test_permissions import everything_on_aws


@pytest.fixture(scope="module")
def endpoints(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Staging with all that costs by the hour and is in neither example."""
    config = yaml.safe_load((EXAMPLES / "Pulumi.staging.yaml").read_text())["config"]
    config["corral:hosts"]["bedrock"]["vpcEndpoint"] = True
    secret = "arn:aws:secretsmanager:us-east-1:123456789012:secret:ecr-pullthroughcache/docker-hub-AbCdEf"
    config["corral:registry"] = {"pullThrough": {"dockerHub": secret}}
    file = tmp_path_factory.mktemp("cost") / "Pulumi.staging.yaml"
    file.write_text(yaml.safe_dump({"config": config}))
    return run_program(read_version(file))


def test_the_page_is_up_to_date():
    assert FILE.read_text(encoding="utf-8") == page(), "make it again: .venv/bin/python -m docs.cost_reference"


def test_whatever_the_program_makes_in_a_cloud_has_a_price_or_costs_nothing_or_is_named_as_unknown(
    endpoints: World, tmp_path: Path
):
    worlds = (recorded("prod"), recorded("staging"), endpoints, everything_on_aws(tmp_path))
    made = {each.type for world in worlds for each in world.resources if each.custom}
    in_clouds = {type_ for type_ in made if type_.startswith(("aws:", "azure-native:"))}
    assert in_clouds - {*PRICES["parts"], *PRICES["free"]} == set()
    assert {*PRICES["parts"]} - made == set()


def test_an_interface_endpoint_costs_in_each_zone_and_one_for_s3_nothing(endpoints: World):
    """Three services, for ECR and Bedrock, in two zones."""
    version = read_version(EXAMPLES / "Pulumi.staging.yaml")
    (row,) = [row for row in rows(version, endpoints) if "interface endpoint" in row.what]
    assert (row.count, row.hourly, row.monthly) == (6, Decimal("0.01"), Decimal("43.80"))


def test_what_is_unknown_is_in_no_sum():
    each = rows(read_version(EXAMPLES / "Pulumi.staging.yaml"), recorded("staging"))
    known = sum(row.monthly for row in each if row.hourly is not None)
    assert table(each).splitlines()[-1].endswith(f"**{known:,.2f}** | |")
    assert [row.what for row in each if row.hourly is None] != []
