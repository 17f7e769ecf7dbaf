"""The pages made from the claims, and the report: whole, well formed, with a picture wherever one is due."""

import base64
from html.parser import HTMLParser

from jko import survey
from jko.cli.survey_page import write_report
from jko.cli.validate import facts
from jko.survey import Kind, pages
from jko.survey.slips import SLIPS


class Page(HTMLParser):
    """The images of a page, the tags that are still open, the places it has and the ones that it links to."""

    def __init__(self):
        super().__init__()
        self.images, self.open, self.places, self.links = [], [], [], []

    def handle_starttag(self, tag, attributes):
        known = dict(attributes)
        self.places += [known["id"]] if "id" in known else []
        self.links += [known["href"].removeprefix("#")] if tag == "a" else []
        if tag == "img":
            self.images.append(known["src"])
        elif tag not in ("meta", "link", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_report_has_a_picture_for_every_limit_and_needs_no_other_file(tmp_path):
    claims = [
        e.run(quick=True)
        for e in survey.entries()
        if e.module in ("s33_metric", "s51_convergence", "s51_gaussian", "s52_layers")
    ]
    path = write_report(claims, tmp_path / "survey.html", facts(True))
    page = Page()
    page.feed(path.read_text("utf-8"))
    assert not page.open
    assert set(page.links) <= set(page.places)
    assert [name for name in page.places if name.startswith("section-")] == [
        "section-3-3",
        "section-5-1",
        "section-5-2",
    ]
    due = [c for c in claims if c.kind in (Kind.LIMIT, Kind.EXPERIMENT)]
    assert len(page.images) >= len(due) > 3
    for source in page.images:
        head, data = source.split(",", 1)
        assert head == "data:image/png;base64"
        assert base64.b64decode(data).startswith(b"\x89PNG")


def test_the_page_of_equations_has_a_row_for_every_claim():
    claims = [
        e.run(quick=True) for e in survey.entries() if e.module in ("s21_networks", "s23_charges")
    ]
    text = pages.equations(claims)
    rows = [line for line in text.splitlines() if line.startswith("| ") and line.endswith("` |")]
    assert len(rows) == len(claims)
    assert all(row.replace("\\|", "").count("|") == 6 for row in rows)
    assert text.count("\n## ") == 2


def test_every_section_has_a_title():
    assert {e.section for e in survey.entries()} == set(survey.SECTIONS)


def test_the_page_of_errata_has_what_is_measured_and_what_is_not():
    found = [e for e in survey.entries() if e.kind in pages.ERRATA]
    claims = [
        e.run(quick=True) for e in found if e.module in ("s31_flow", "s23_charges", "s33_chaos")
    ]
    text = pages.errata(claims)
    assert all(claim.equation in text for claim in claims)
    assert text.count("\n| ") >= len(claims) + len(SLIPS)


def test_every_numbered_equation_of_the_survey_has_a_claim():
    numbers = {2: 13, 3: 31, 4: 10, 5: 1}
    for section, last in numbers.items():
        for k in range(1, last + 1):
            assert survey.entries(f"{section}.{k}")
    for name in (
        "Remark 2.1",
        "Definition 3.1",
        "Lemma 3.2",
        "Proposition 3.3",
        "Remark 3.4",
        "Remark 4.1",
    ):
        assert survey.entries(name)
    for note in (1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13):
        assert survey.entries(f"footnote {note}")


def test_numbers_are_whole_and_words_are_parts():
    labels = {e.equation for e in survey.entries("3.2")}
    assert not any("(3.23)" in label for label in labels)
    assert {e.equation for e in survey.entries("3.28")} >= {"(3.28)", "Lemma 3.2, (3.26)-(3.29)"}
