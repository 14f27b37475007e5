"""A plan as the configuration of a stock Envoy.

    client ─► gateway listener ─► clusters of a model ─► relay listener ─► cluster of a host ─► the host
              reads `model` from    pick a host by         rewrites model     sets the credential,
              the JSON body         share and fallback,    name and path,     TLS with verification
                                    retry on another       sets Host

The relay is an internal listener: what goes through it never leaves the process.  It is there so that every attempt, a
retry included, is rewritten for the host it goes to: that host's model id, path, `Host` and credential, and none of
another's.  A model's clusters have its hosts as members; a member tells the relay, in a header, whom it stands for.

All of it is read from files that Envoy watches, and each is replaced by an atomic rename.  Envoy takes one inotify
instance for each file it watches, and many systems allow a user 128 of them: hence one file for all clusters and one
for each route table, and only the keys, one file for each host, grow in number.  The bootstrap never changes.
"""
