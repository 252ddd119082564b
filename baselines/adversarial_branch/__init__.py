"""Adversarial branch (Halawa et al. 2020), with D2AE's gradient routing."""
