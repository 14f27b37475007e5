"""The load balancer on a cluster: its software, its tenants' keys, and what a plan is rendered to."""
