"""From a plan to what an engine reads: plain dicts, no I/O."""
