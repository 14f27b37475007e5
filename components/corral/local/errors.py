"""What can go wrong on this machine, in words for the person at the terminal."""

from __future__ import annotations


class EngineError(Exception):
    """The engine cannot start or go on.  The message says what is wrong and the way out."""
