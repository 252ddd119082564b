"""CAF: contrastive adversarial learning of weak and strong emotions (AAAI 2021)."""
