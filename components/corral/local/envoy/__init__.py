"""A plan as the configuration of an Envoy with our module (`corral.local.module`).

    client ─► gateway listener ─► clusters of a model ─► filter of the attempt ─► the host
              who calls, which      pick a host by         its key, path, `Host`
              model, what is left   share and fallback,    and id of the model
              of the limits         retry on another

The filter of the attempt runs once for each, a retry included: it is rewritten for the host it goes to, with that
host's key, and none of another's.  A member of a model's clusters says in its metadata how its host is called.

All of it is read from files that Envoy watches, and each is replaced by an atomic rename.  Envoy takes one inotify
instance for each file it watches, and many systems allow a user 128 of them: hence one file for all clusters and one
for all routes; the keys lie in a file for each host, which the module reads.  The bootstrap never changes.
"""
