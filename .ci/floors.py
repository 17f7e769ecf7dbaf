"""The oldest versions that pyproject.toml allows, as constraints: ``name==version`` for each ``name>=version``."""

import re
import tomllib
from pathlib import Path

project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
wanted = project["dependencies"] + sum(project["optional-dependencies"].values(), [])
for name, version in re.findall(r"^([\w.-]+)>=([\d.]+)", "\n".join(wanted), re.MULTILINE):
    print(f"{name}=={version}")
