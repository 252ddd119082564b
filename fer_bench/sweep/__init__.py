"""Sweeps: many runs planned from one experiment, executed, scored, and never done twice."""
