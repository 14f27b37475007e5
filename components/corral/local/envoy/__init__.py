"""A plan as the configuration of a stock Envoy.

    client ─► gateway listener ─► clusters of a model ─► upstream filters ─► the host
              who calls, which      pick a host by         its key, path, `Host`
              model, what is left   share and fallback,    and id of the model
              of the limits         retry on another

The upstream filters run once for each attempt, a retry included: it is rewritten for the host it goes to, with that
host's key, and none of another's.  A member of a model's clusters says in its metadata how its host is called.

All of it is read from files that Envoy watches, and each is replaced by an atomic rename.  Envoy takes one inotify
instance for each file it watches, and many systems allow a user 128 of them: hence one file for all clusters and one
for all routes, and only the keys, one file for each host, grow in number.  The bootstrap never changes.
"""
