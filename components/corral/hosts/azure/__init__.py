"""Azure AI Foundry."""
