"""Expression and identity from one code: the leaky upper bound."""
