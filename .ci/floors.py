"""The oldest versions that pyproject.toml allows, as constraints: ``name==version`` for each ``name>=version``."""

import re
import sys
import tomllib
from pathlib import Path

project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
extras = project["optional-dependencies"].values()
wanted = [*project["dependencies"], *(line for lines in extras for line in lines)]
floors = re.findall(r"^([\w.-]+)>=([\d.]+)", "\n".join(wanted), re.MULTILINE)
sys.stdout.writelines(f"{name}=={version}\n" for name, version in floors)
