"""Faces that a program draws, with exact factors: flat (`generated`) and 3-D (`morphable`)."""

from fer_bench.data.synthetic.factors import sample_factors
from fer_bench.data.synthetic.generated import caption, dependence, generate
from fer_bench.data.synthetic.renderer import render

__all__ = ["caption", "dependence", "generate", "render", "sample_factors"]
