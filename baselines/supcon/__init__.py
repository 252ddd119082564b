"""Supervised contrastive learning on the expression."""
