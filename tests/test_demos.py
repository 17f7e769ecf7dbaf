"""Every demo runs, holds the number that it prints against what it should be, and leaves a picture of its own."""

import ast
import runpy
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import pytest
from matplotlib.image import imread

ROOT = Path(__file__).resolve().parents[1]
DEMOS = sorted((ROOT / "demos").glob("*/*.py"))


def test_the_gallery_has_its_sections_and_each_demo_its_own_name():
    sections = {demo.parent for demo in DEMOS}
    assert len(DEMOS) >= 16
    assert all((folder / "GALLERY_HEADER.rst").exists() for folder in sections)
    assert len({demo.stem for demo in DEMOS}) == len(DEMOS)


@pytest.mark.parametrize("demo", DEMOS, ids=lambda path: path.stem)
def test_the_demo_checks_its_number_and_draws_its_picture(demo, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(demo), str(tmp_path / "pictures")])
    runpy.run_path(str(demo), run_name="__main__")
    plt.close("all")
    said = capsys.readouterr()
    assert any(sign.isdigit() for sign in said.out)
    pictures = list((tmp_path / "pictures").iterdir())
    assert pictures == [tmp_path / "pictures" / f"{demo.stem}.png"]
    assert said.err.splitlines()[-1] == str(pictures[0])
    pixels = imread(pictures[0])
    assert min(pixels.shape[:2]) > 400
    assert pixels[..., :3].std() > 0.02
    frame = [pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]]
    assert all((edge == edge[0]).all() for edge in frame)  # nothing is cut off


@pytest.mark.parametrize("demo", DEMOS, ids=lambda path: path.stem)
def test_the_demo_is_a_page_with_a_title_cells_and_a_check(demo):
    text = demo.read_text()
    page = ast.parse(text)
    title, line, *rest = ast.get_docstring(page).splitlines()
    assert line == "=" * len(title)
    assert ":math:" in "\n".join(rest) or ".. math::" in text
    assert text.count("\n# %%\n") >= 2
    assert any(isinstance(node, ast.Assert) for node in ast.walk(page))
