"""Simulated hosts: one process that stands in for every host of a stack, for rehearsals without keys and for tests.

All simulated hosts share one loopback port, each under a prefix of its own: the base URL
`https://api.groq.com/openai/v1` of `groq` becomes `http://127.0.0.1:PORT/groq/openai/v1`.  A host is strict where a
mistake in a plan must show: it wants its own credential and knows only the model ids that the plan says it serves.
It is generous in everything else: parameters that change nothing about where a request goes (temperature, stop,
logprobs, ...) are accepted and ignored.

Bedrock's simulated host speaks Converse, binary event stream and signed requests included, and Replicate's speaks
predictions; all others speak OpenAI's protocol.
"""
