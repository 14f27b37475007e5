"""Stack and catalog → plan: its targets, what checks find in it, what differs from another, and it in words."""
