"""Prometheus rules, alerts and a Grafana dashboard, over the same recorded names whichever engine counts."""
