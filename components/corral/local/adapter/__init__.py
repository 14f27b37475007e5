"""The adapter: a process that stands between Envoy and the hosts that do not speak OpenAI's protocol.

Envoy sends it chat completions, one path prefix per host: `/bedrock/v1/chat/completions`.  It asks the host in the
host's own protocol (Bedrock's Converse, Replicate's predictions) and answers as OpenAI would, streams and errors
included.  What such a host cannot express is refused with 400 and named; nothing of a request is left out silently.

It decides nothing about routing and tries nothing twice: that is the gateway's.  It listens on loopback and wants a
token that is made for each run, so that nobody else on the machine can spend the host's credentials.
"""
