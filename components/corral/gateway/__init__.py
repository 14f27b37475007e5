"""The load balancer on a cluster: its manifests, its software, its component, and the cut-over between routes."""
