"""Sphinx: ``sphinx-build -W -b html docs docs/_build``, without a network."""

import sys
from pathlib import Path

DOCS = Path(__file__).parent
sys.path[:0] = [str(DOCS / "_ext"), str(DOCS.parent)]

import jaxaccel  # noqa: E402

project = "jaxaccel"
author = "the jaxaccel authors"
release = version = jaxaccel.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "myst_parser",
    "api_pages",
    "mathml",
    "parity_table",
    "porting_map",
    "public_names",
    "schedule_curves",
    "side_by_side",
]
exclude_patterns = ["_build", "_ext"]
html_theme = "furo"
html_title = f"jaxaccel {release}"
html_static_path = ["_static"]
html_css_files = ["pages.css"]
html_show_copyright = False
html_math_renderer = "mathml"

# Every cross reference must lead somewhere; only what is not ours is printed as it is.
nitpicky = True
nitpick_ignore_regex = [
    ("py:.*", r"(jax|jnp|np|numpy|optax|nnx|os|re|contextlib)\.[\w.]+"),
    ("py:.*", r"AbstractMesh|Any|Callable|Iterable|Iterator|Literal|Mapping|Mesh|Path|Sequence"),
    ("py:.*", r"int|float|str|bool|dict|list|tuple|None"),
    ("py:class", r"MLP|SimpleCNN|ResNet|DepthwiseCNN|VisionTransformer|LSTMClassifier|GPT"),
    (
        "py:class",
        r"StateT|WholeTransformation|Layout|Compiled|Checkpoint|Counted|Placement|Mode|Strategy",
    ),
    (
        "py:class",
        r"Lowered|PartitionSpec|Memory|Hook|Record|AbstractContextManager|Future",
    ),
    ("py:class", r"AxisName|Augmentation|Layouts|Draw|Model|Layer|Conv|BatchNormBase|F|Line"),
]

autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_typehints = "none"
python_maximum_signature_line_length = 88
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_custom_sections = ["PyTorch"]
myst_enable_extensions = ["attrs_block", "dollarmath"]
myst_heading_anchors = 3
