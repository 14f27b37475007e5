"""The log's fields, whose expressions stand in the golden file."""

from __future__ import annotations

from pathlib import Path

from corral.gateway.manifests.front import KEPT_HEADERS, LOGGED_TOKENS, access_log
from corral.local.envoy.listeners import access_log as local_log


def test_what_both_engines_log_has_one_name():
    local = local_log(Path("access.log"))["typed_config"]["log_format"]["json_format"]
    for setting in access_log()["settings"]:
        assert sorted(setting["format"]["json"]) == sorted(local.keys() - {"stream", "estimated", "limit"})


def test_a_request_is_logged_once_and_its_tenant_found_where_it_still_is():
    settings = [(each["matches"], each["format"]["json"]["tenant"]) for each in access_log()["settings"]]
    assert settings == [
        (["'x-corral-tenant' in request.headers"], "%REQ(x-corral-tenant)%"),
        (["!('x-corral-tenant' in request.headers)"], "%DYNAMIC_METADATA(io.envoy.ai_gateway:tenant)%"),
    ]
    assert KEPT_HEADERS == "x-corral-tenant:tenant"


def test_tokens_are_read_where_they_are_counted():
    fields = access_log()["settings"][0]["format"]["json"]
    assert [fields[each["metadataKey"]] for each in LOGGED_TOKENS] == [
        "%DYNAMIC_METADATA(io.envoy.ai_gateway:input_tokens)%",
        "%DYNAMIC_METADATA(io.envoy.ai_gateway:output_tokens)%",
    ]
