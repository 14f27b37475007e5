"""The embedded engine: a plan carried out by a stock Envoy on this machine.

Nothing here is in the path of a request.  It writes Envoy's files, watches the stack file, and keeps the processes
alive.
"""
