"""Checks of a plan: each a pure function from a plan to findings."""
