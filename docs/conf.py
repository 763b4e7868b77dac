"""Settings of the documentation: `make docs`."""

from importlib import metadata
from itertools import pairwise
from typing import Any

project = "sdcorr"
author = "the sdcorr authors"
release = metadata.version("sdcorr")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode", "sphinx_copybutton"]
exclude_patterns = ["slurm"]

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

default_role = "code"  # docstrings put code between single backticks
autodoc_default_options = {"members": True}
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True  # attributes as a list, not as members of their own
napoleon_use_rtype = False

html_theme = "furo"
html_title = f"sdcorr {release}"
html_theme_options = {"top_of_page_buttons": []}
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_copyright = False
html_show_sphinx = False
copybutton_exclude = ".linenos, .gp, .go"


def setup(app: Any) -> None:
    """Connect what follows to Sphinx."""
    app.connect("autodoc-process-docstring", _as_written)
    app.connect("autodoc-process-signature", _plain_defaults)


def _as_written(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Keep what docstrings mean as plain text: |x| is an absolute value, and what a module indents is preformatted."""
    written: list[str] = []
    for before, line in pairwise(["", *lines]):
        indented = what == "module" and line.startswith("    ")
        if indented and not before.strip():
            written += ["::", ""]
        written.append(line if indented else line.replace("|", r"\|"))
    lines[:] = written


def _plain_defaults(
    app: Any, what: str, name: str, thing: Any, options: Any, arguments: str | None, returns: Any
) -> Any:
    """Write `...` for a default that a dataclass makes itself; Sphinx cannot read `<factory>`."""
    return arguments and arguments.replace("<factory>", "..."), returns
