"""Replicate's predictions.  https://replicate.com/docs/reference/http, and its OpenAPI description."""
