"""A plan as the configuration of an Envoy with our module (`corral.local.module`).

    client ─► gateway listener ─► choice of the host ─► filter of the attempt ─► the host
              who calls, which      by share and          its key, path, `Host`
              model, what is left   fallback, anew for    and id of the model
              of the limits         each attempt

The choice and the filter of the attempt run once for each attempt, a retry included: the request is rewritten for the
host it goes to, with that host's key, and none of another's.

All of it is read from files that Envoy watches, and each is replaced by an atomic rename.  Envoy takes one inotify
instance for each file it watches, and many systems allow a user 128 of them: hence one file for all clusters and one
for all routes; the keys lie in a file for each host, which the module reads.  The bootstrap never changes.
"""
