"""The configuration of Sphinx: ``make docs``.  Pages are Markdown; what can be computed is made by the build.

The reference comes from the public names (``docs/names.py``), the pages of the survey from its claims, the gallery
from ``demos/``, the notebooks run.  Nothing is loaded from outside, neither by the build nor by the pages.
"""

import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE)]
# examples, notebooks and their kernels take the package beside this folder, and one thread
os.environ["PYTHONPATH"] = os.pathsep.join(
    [str(HERE.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
)
os.environ.setdefault("OMP_NUM_THREADS", "1")

import jko  # noqa: E402

project = "jko"
author = "the jko developers"
release = version = jko.__version__
language = "en"

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx-mathjax-offline",
    "numpydoc",
    "myst_nb",
    "sphinx_gallery.gen_gallery",
    "sphinx_design",
    "sphinx_copybutton",
    "names",
    "docstrings",
]
# of what the gallery leaves, the pages
exclude_patterns = ["_build", "gallery/**/*.ipynb", "**/GALLERY_HEADER.rst"]
exclude_patterns += ["sg_execution_times.rst", "**/sg_execution_times.rst"]
templates_path = ["_templates"]
source_suffix = {".rst": "restructuredtext", ".md": "myst-nb"}
suppress_warnings = ["config.cache"]

# pages and notebooks
myst_enable_extensions = ["dollarmath", "colon_fence", "deflist"]
myst_heading_anchors = 3
nb_execution_mode = "cache"
nb_execution_cache_path = str(HERE / "_build" / ".notebooks")
nb_execution_timeout = 180
nb_execution_raise_on_error = True
nb_execution_show_tb = True
nb_merge_streams = True

# the reference
autosummary_generate = True
autosummary_ignore_module_all = False
autodoc_typehints = "none"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
numpydoc_show_class_members = False
numpydoc_xref_param_type = False
python_maximum_signature_line_length = 80
add_module_names = False

# the gallery
sphinx_gallery_conf = {
    "examples_dirs": [str(HERE.parent / "demos")],
    "gallery_dirs": ["gallery"],
    "subsection_order": [
        f"../demos/{name}" for name in ("networks", "sampling", "densities", "pairs", "theory")
    ],
    "filename_pattern": r"\.py$",
    "ignore_pattern": r"(^|/)_",
    "backreferences_dir": "gallery/backreferences",
    "doc_module": ("jko",),
    "reference_url": {"jko": None},
    "matplotlib_animations": False,
    "abort_on_example_error": True,
    "only_warn_on_example_error": False,
    "remove_config_comments": True,
    "show_memory": False,
    "show_signature": False,
    "download_all_examples": False,
    "min_reported_time": 30,
    "reset_modules": ("matplotlib",),
    "image_scrapers": ("figures.scraper",),
    "reset_argv": "figures.argv",
}

# what it looks like
html_theme = "pydata_sphinx_theme"
html_title = "jko"
html_static_path = ["_static"]
html_css_files = ["jko.css"]
html_copy_source = False
html_show_sourcelink = False
html_show_search_summary = False  # it fetches pages, which file:// does not allow
html_theme_options = {
    "logo": {"text": "jko"},
    "navbar_align": "left",
    "header_links_before_dropdown": 6,
    "navbar_end": ["theme-switcher"],
    "secondary_sidebar_items": {"**": ["page-toc"], "equations": [], "errata": [], "formulas": []},
    "footer_start": ["copyright"],
    "footer_end": [],
    "show_prev_next": True,
    "navigation_with_keys": False,
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
html_sidebars = {"index": [], "compare": [], "equations": [], "errata": []}
copyright = "the jko developers, MIT licence"
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
