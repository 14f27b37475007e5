"""Hosts that do not speak OpenAI's protocol, reached through the adapter."""
