"""A plan as resources of Envoy AI Gateway on Kubernetes.

    client ─► NLB ─► Gateway ─► API key ─► AIGatewayRoute of the model ─► AIServiceBackend of one host ─► the host
                     (Envoy)    to tenant  picks a host by weight         rewrites model name and path,
                                           and priority, retries          adds the credential, translates

The shape that was found to be safe, and why:

- Every host is a `Backend` with a DNS name, a Service of the cluster included.  With addresses, Envoy Gateway makes one
  EDS cluster of a rule's hosts, and all of them get the first one's model id, credential and schema.
- Every model has an AIGatewayRoute of its own: a share edit changes that one object, and a route that is wrong harms
  one model.
- API keys are asked for on the Gateway, not on routes: until its body is read, a request is on the route that its
  headers name, so that asking on a route could be walked around.  For the same reason clients cannot send such headers.
- Priorities are explicit and contiguous, timeouts explicit: the default of 60 s would cut streams.
"""
