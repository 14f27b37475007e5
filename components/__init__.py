"""Corral: Llama on many hosts behind one load balancer, declared in one stack file per environment."""
