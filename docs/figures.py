"""What the gallery shows: a script's figure stands below the block that shows it, ``plots.show(figure, NAME)``."""

import re
import shutil
import sys
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from sphinx_gallery.scrapers import figure_rst, matplotlib_scraper

WRITTEN = re.compile(r"\b(?:plots\.(?:show|write|animate)|\w+\.savefig)\(")


def scraper(block: tuple[str, str, int], variables: dict[str, Any], conf: dict[str, Any]) -> str:
    """The pictures that the block has written to its folder; pyplot's own, if it has any, as ever."""
    if not WRITTEN.search(block[1]):
        return matplotlib_scraper(block, variables, conf)
    folder = Path(sys.argv[1])  # as ``argv`` below says
    paths = []
    for picture in sorted(p for p in folder.iterdir() if p.suffix in (".png", ".gif")):
        path = Path(next(variables["image_path_iterator"])).with_suffix(picture.suffix)
        shutil.move(picture, path)
        paths.append(str(path))
    return figure_rst(paths, conf["src_dir"]) if paths else ""


def argv(conf: dict[str, Any], variables: dict[str, Any]) -> list[str]:
    """What follows a script's name on its command line: an empty folder for its pictures."""
    return [mkdtemp(prefix="jko-gallery-")]
