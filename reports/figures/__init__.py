"""Figures: the same functions draw for the page (SVG) and for papers (PDF and SVG)."""
