"""What Envoy has counted, read in one place: for status, metrics, page, usage and drill alike."""
