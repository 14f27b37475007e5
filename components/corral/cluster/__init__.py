"""The cluster that the gateway runs on: a new one on EKS, or one that a kubeconfig names."""
