"""The disentanglement metrics of the literature, one file each, for data with known factors.

Every function takes `codes` [n, d] (an embedding) and `factors` [n, k] (what generated the
image), or a matrix derived from them, and works without the rest of the suite.
"""
