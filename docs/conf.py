"""Sphinx configuration of the documentation."""

import sys
from pathlib import Path

import fer_bench

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "FER-Bench"
author = "The FER-Bench authors"
copyright = author
release = version = fer_bench.__version__

extensions = [
    "myst_parser",
    "reference",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
included = ["generated/numbers.md", "generated/benchmark-*.md"]
exclude_patterns = ["_build", "_ext", "gallery/*.rst.txt", *included]
suppress_warnings = ["config.cache"]

autosummary_generate = True
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_custom_sections = [("Class attributes", "Attributes")]

sphinx_gallery_conf = {
    "examples_dirs": "../examples/gallery",
    "gallery_dirs": "gallery",
    "filename_pattern": r"/plot_",
    "show_memory": False,
    "remove_config_comments": True,
    "download_all_examples": False,
}

html_theme = "pydata_sphinx_theme"
html_title = f"FER-Bench {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_sidebars = {"**": ["globaltoc.html"]}
html_theme_options = {
    "header_links_before_dropdown": 3,
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "secondary_sidebar_items": ["page-toc"],
}
copybutton_prompt_text = "$ "
