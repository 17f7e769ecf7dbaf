"""Every demo runs and leaves a picture with something on it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from matplotlib.image import imread

ROOT = Path(__file__).resolve().parents[1]
DEMOS = sorted((ROOT / "demos").glob("*.py"))


def test_there_are_demos():
    assert len(DEMOS) >= 3


@pytest.mark.parametrize("demo", DEMOS, ids=lambda path: path.stem)
def test_the_demo_draws_its_picture(demo, tmp_path):
    done = subprocess.run(
        [sys.executable, "-W", "error", str(demo), str(tmp_path / "pictures")],
        capture_output=True,
        text=True,
        timeout=900,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    picture = tmp_path / "pictures" / f"{demo.stem}.png"
    assert str(picture) in done.stdout
    pixels = imread(picture)
    assert min(pixels.shape[:2]) > 400
    assert pixels[..., :3].std() > 0.02
