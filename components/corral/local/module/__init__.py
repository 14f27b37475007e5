"""The module that Envoy loads: what its own filters do not do, in C, compiled when the engine starts.

Stock Envoy reads a request's body only as a whole JSON document that it writes anew, knows a caller's key only in the
plain, and counts no tokens.  `corral.h` says which part does what; `hooks.c` has what Envoy calls.
"""
