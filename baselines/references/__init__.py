"""Reference rows of every table: frozen encoders, pixels, and the oracles."""
