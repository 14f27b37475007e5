"""Corral's metrics for Prometheus: what Envoy has counted, in names and units of our own, with money beside it."""
