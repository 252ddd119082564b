"""ELIM: identity matching by optimal transport (NeurIPS 2022)."""
