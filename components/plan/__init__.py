"""The routing plan: a pure function of a stack and the catalog."""
