"""What can be wrong with a log, in words for the person at the terminal."""

from __future__ import annotations


class UsageError(Exception):
    """The log or its prices cannot be read.  The message says what is wrong and the way out."""
