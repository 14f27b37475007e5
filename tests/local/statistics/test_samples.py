"""Envoy's text, read."""

from __future__ import annotations

from corral.local.statistics.samples import Sample, read

TEXT = """\
# TYPE envoy_corral_requests counter
envoy_corral_requests{tenant="search",model="org/with:odd.name",host="bedrock",code="200"} 7
envoy_corral_requests{tenant="-",model="unknown model",host="",code="404"} 5

# TYPE envoy_http_gateway_downstream_rq_active gauge
envoy_http_gateway_downstream_rq_active{} 3
# TYPE envoy_corral_duration histogram
envoy_corral_duration_bucket{model="a\\"b\\\\c",host="x",le="0.5"} 0
envoy_corral_duration_bucket{model="m",host="x",le="+Inf"} 2
envoy_corral_duration_sum{model="m",host="x"} 20.487804878048780921062643756159
"""


def test_numbers_are_read_with_the_tags_they_were_counted_by() -> None:
    asked, timed = (("tenant", "search"), ("model", "org/with:odd.name")), (("model", "m"), ("host", "x"))
    assert read(TEXT) == {
        Sample("corral_requests", (*asked, ("host", "bedrock"), ("code", "200"))): 7,
        Sample("corral_requests", (("tenant", "-"), ("model", "unknown model"), ("host", ""), ("code", "404"))): 5,
        Sample("http_gateway_downstream_rq_active", ()): 3,
        Sample("corral_duration_bucket", (("model", 'a"b\\c'), ("host", "x"), ("le", "0.5"))): 0,
        Sample("corral_duration_bucket", (*timed, ("le", "+Inf"))): 2,
        Sample("corral_duration_sum", timed): 20.48780487804878,
    }


def test_a_label_that_is_not_there_is_empty() -> None:
    sample = Sample("corral_requests", (("model", "m"),))
    assert (sample.label("model"), sample.label("tenant")) == ("m", "")
