"""Hosted APIs, and any host that speaks OpenAI's protocol."""
