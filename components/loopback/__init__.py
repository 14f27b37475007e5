"""Web servers of Corral's own, on this machine alone: the simulated hosts, the adapter and the live page."""
