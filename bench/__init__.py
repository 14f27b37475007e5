"""Measurements, side by side in one run.  Nothing here is a test: times are read by a person."""
