"""Empirical risk minimisation: cross-entropy, nothing else."""
