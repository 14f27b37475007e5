"""The API keys of tenants: made, judged and hashed."""
