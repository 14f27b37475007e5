"""Any host that speaks OpenAI's protocol."""
