"""The metrics that exist, and who exposes them.  Nothing here reads any other.

Envoy AI Gateway: internal/metrics/genai.go, as Prometheus names them (tests/data-plane/vcr/prometheus_metrics_test.go);
its port `aigw-admin`, path /metrics.  It records each attempt at a host, and labels it with the model that was asked
for (`gen_ai_original_model`) and the id that the host was asked for (`gen_ai_request_model`), not with the host.

Envoy: docs, Cluster manager statistics; at Envoy Gateway's port `metrics`, path /stats/prometheus.  What a cluster
answered with is counted once a request: an answer that is tried again is not counted there.
"""

from __future__ import annotations

CORRAL = frozenset(
    {
        "corral_requests_total",
        "corral_request_duration_seconds_bucket",
        "corral_first_byte_seconds_bucket",
        "corral_attempts_total",
        "corral_tokens_total",
        "corral_cost_dollars_total",
        "corral_unpriced_tokens_total",
        "corral_limited_total",
        "corral_share_percent",
        "corral_host_ejected",
        "corral_active_requests",
    }
)
"""Of the embedded engine, at the page's /metrics."""

KUBERNETES = frozenset(
    {
        "gen_ai_client_token_usage_sum",
        "gen_ai_server_request_duration_seconds_bucket",
        "gen_ai_server_request_duration_seconds_count",
        "gen_ai_server_time_to_first_token_seconds_bucket",
        "envoy_cluster_upstream_rq_xx",
        "envoy_cluster_outlier_detection_ejections_active",
    }
)
"""Of the kubernetes engine."""
