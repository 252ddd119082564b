"""Bring your own embeddings: from somebody's files or arrays to an ordinary result folder."""
