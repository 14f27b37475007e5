"""Dashboards and alerts as code: one set of recorded names, whichever engine counts."""
