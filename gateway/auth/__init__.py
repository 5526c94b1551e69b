"""Who is calling: API keys, our own tokens, those of an outside issuer."""
