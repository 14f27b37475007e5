"""A drill: a scripted rehearsal of a stack's moves and failures under load, on this machine, with simulated hosts.

It works on a copy of the stack file, in a folder, with an Envoy and on ports of its own; it calls no real host and
changes nothing of the stack.
"""
