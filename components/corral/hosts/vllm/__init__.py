"""vLLM on GPUs of one's own."""
