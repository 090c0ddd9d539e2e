"""The vendor's people: passwords, tokens, roles."""
