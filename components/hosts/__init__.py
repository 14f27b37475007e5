"""The hosts, one folder per kind: `probe.py` asks them what they serve."""
