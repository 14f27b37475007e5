"""The cluster of the kubernetes engine: a new one on EKS, or one that a kubeconfig names."""
