"""The site that "make docs-html" makes of these documents. All of it is set here: Sphinx reads this file itself."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))
from cross_init.version import VERSION

project = "cross-init-tools"
author = "The cross-init-tools developers"
version = release = VERSION
extensions = ["myst_parser"]
html_theme = "alabaster"
html_theme_options = {
    "description": "Daemons that were written for one init system, under another",
    "page_width": "70em",
}
html_copy_source = False
myst_heading_anchors = 3  # which links in these documents lead to
