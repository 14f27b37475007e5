"""One machine: a plan carried out by a stock Envoy, which follows the stack file."""
