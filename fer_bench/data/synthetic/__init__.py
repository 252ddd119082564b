"""Faces that a program draws, with exact factors: flat (`generated`) and 3-D (`morphable`)."""

from fer_bench.data.synthetic.factors import sample_factors
from fer_bench.data.synthetic.generated import caption, dependence, generate
from fer_bench.data.synthetic.morphable import generate_morphable, render_morphable
from fer_bench.data.synthetic.morphable_model import load_model
from fer_bench.data.synthetic.renderer import render

__all__ = [
    "caption",
    "dependence",
    "generate",
    "generate_morphable",
    "load_model",
    "render",
    "render_morphable",
    "sample_factors",
]
