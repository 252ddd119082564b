"""What several adapters share: encoders, heads, critics, bounds, affect losses."""
