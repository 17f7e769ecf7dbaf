"""Tables of every dialect are read back as they were written, and no row is lost: what may be one is asked for."""

import csv
import io
import os
import string
import time
import tracemalloc

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from jko import datasets
from jko.datasets import rows
from jko.datasets.cells import is_number

SETTINGS = settings(max_examples=60, deadline=None, derandomize=True)

words = st.text(string.ascii_letters + "äß %(),;|'\"", min_size=1, max_size=8).map(str.strip).filter(
    lambda word: word and not is_number(word) and word.lower() not in ("na", "nan", "nil", "inf", "none", "null")
)  # fmt: skip
finite = st.floats(allow_nan=False, allow_infinity=False)
DELIMITERS = [",", ";", "\t", "|", " "]
WRITTEN = [repr, "{:.17e}".format, "{:+.17g}".format, " {!r} ".format]


@st.composite
def tables(draw, least_rows=4):
    """Names, columns of numbers, and a target of numbers."""
    count = draw(st.integers(2, 5))
    names = draw(st.lists(words, min_size=count, max_size=count, unique=True))
    M = draw(st.integers(least_rows, 9))
    columns = [draw(st.lists(finite, min_size=M, max_size=M)) for _ in names]
    assume(len(set(columns[-1])) > 2)
    return names, columns


def text_of(lines, **dialect):
    buffer = io.StringIO()
    csv.writer(buffer, **dialect).writerows(lines)
    return buffer.getvalue()


def read(tmp_path_factory, text, target, encoding="utf-8", **options):
    path = tmp_path_factory.mktemp("t") / "table.csv"
    path.write_bytes(text.encode(encoding))
    return datasets.read_csv(path, target, **options)


@SETTINGS
@pytest.mark.fuzz
@given(
    table=tables(),
    delimiter=st.sampled_from(DELIMITERS),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    ending=st.sampled_from(["\n", "\r\n", "\r"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig"]),
    written=st.sampled_from(WRITTEN),
    tail=st.integers(0, 2),
    named=st.booleans(),
)
def test_a_table_of_any_dialect_is_read_back_to_the_bit(
    tmp_path_factory, table, delimiter, quoting, ending, encoding, written, tail, named
):
    names, columns = table
    if delimiter == " ":
        tail = 0  # blanks at the end of a line are no cells
    quoting = csv.QUOTE_ALL if delimiter == " " else quoting
    body = [[written(value) for value in row] for row in zip(*columns, strict=True)]
    lines = [[*line, *[""] * tail] for line in ([names] if named else []) + body]
    text = text_of(lines, delimiter=delimiter, quoting=quoting, lineterminator=ending)
    names = names if named else [str(k + 1) for k in range(len(names))]
    found = read(
        tmp_path_factory,
        text,
        names[-1],
        encoding,
        keep=names[:-1],
        header=None if named else False,
    )
    assert found.columns == tuple(names[:-1])
    assert np.array_equal(found.x, np.array(columns[:-1]).T)
    assert np.array_equal(found.f, columns[-1])


@SETTINGS
@pytest.mark.fuzz
@given(
    numbers=st.lists(
        st.lists(st.floats(0, 1, width=16), min_size=3, max_size=3), min_size=4, max_size=9
    ),
    classes=st.lists(st.sampled_from(["R", "M", "red wine"]), min_size=9, max_size=9),
    at=st.integers(0, 3),
    delimiter=st.sampled_from(DELIMITERS[:4]),
)
def test_a_row_with_a_word_is_never_taken_for_names(
    tmp_path_factory, numbers, classes, at, delimiter
):
    lines = [[*row[:at], word, *row[at:]] for row, word in zip(numbers, classes, strict=False)]
    text = text_of(lines, delimiter=delimiter)
    for target in ("R", "M", "red wine", str(numbers[0][0])):
        with pytest.raises(ValueError, match=r"the first line of .* --header no .* --header yes"):
            read(tmp_path_factory, text, target)
    if len({line[at] for line in lines}) == 2:
        found = read(tmp_path_factory, text, str(at + 1), header=False)
        assert len(found.f) == len(lines)


@SETTINGS
@pytest.mark.fuzz
@given(
    start=st.integers(1900, 2020),
    step=st.sampled_from([1, 2, 5, 10, -1]),
    count=st.integers(3, 12),
    M=st.integers(5, 12),
    seed=st.integers(0, 999),
    unit=st.sampled_from(["{:.2f}", "{:.0f}"]),
    months=st.booleans(),
)
def test_years_and_months_beside_a_word_are_names(
    tmp_path_factory, start, step, count, M, seed, unit, months
):
    rng = np.random.default_rng(seed)
    names = [str(start + step * k) for k in range(count)]
    scale = 1.0 if unit == "{:.2f}" else 1e7
    if months:
        names, scale, unit = [f"{k + 1:02d}" for k in range(12)], 30.0, "{:.1f}"
    values = rng.normal(size=(M, len(names))) * scale
    values = np.abs(values) + scale if unit == "{:.0f}" else values  # whole ones apart from years
    lines = [["country", *names]]
    lines += [[f"land {k}", *map(unit.format, row)] for k, row in enumerate(values)]
    found = read(tmp_path_factory, text_of(lines), names[-1], ignore=["country"])
    assert found.columns == tuple(names[:-1])
    assert len(found.f) == M


ROW_NAMES = [
    "",
    "Unnamed: 0",
    "rownames",
    "row.names",
    "id",
    "ID",
    "PassengerId",
    "customer_id",
    "index",
    "No",
    "#",
]


@pytest.mark.parametrize("name", ROW_NAMES)
@pytest.mark.parametrize("first", [0, 1, 17])
@pytest.mark.parametrize("shuffled", [False, True])
@pytest.mark.parametrize("place", [0, 1])
def test_a_column_that_numbers_the_rows_is_no_input(tmp_path, name, first, shuffled, place):
    count = np.arange(first, first + 20)
    count = np.random.default_rng(0).permutation(count) if shuffled else count
    lines = [["x", "kind"]] + [[f"{k * k % 7}.5", "ab"[k > 9]] for k in range(20)]
    for line, cell in zip(lines, [name, *count], strict=True):
        line.insert(place, cell)
    path = tmp_path / "t.csv"
    path.write_text(text_of(lines))
    found = datasets.read_csv(path, "kind")
    assert found.columns == ("x",)
    assert found.left_out == (name or f"column {place + 1}",)
    assert any(repr(found.left_out[0]) in note and "left out" in note for note in found.notes)
    kept = datasets.read_csv(path, "kind", keep=list(found.left_out))
    assert set(kept.columns) == {"x", found.left_out[0]}
    assert kept.left_out == ()


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("x", range(20)),  # a curve over 0, 1, 2, ... is one
        ("year", range(1990, 2010)),
        ("id", [*range(18), 30, 40]),
        ("price index", [100 + k * k for k in range(20)]),
        ("", [k / 2 for k in range(20)]),
        ("width", range(20)),
    ],
)
def test_a_column_that_measures_is_an_input(tmp_path, name, values):
    path = tmp_path / "t.csv"
    path.write_text(text_of([[name, "y"]] + [[v, k * k] for k, v in enumerate(values)]))
    found = datasets.read_csv(path, "y")
    assert found.x[:, 0].tolist() == list(values)
    assert found.left_out == ()


def test_a_table_of_nothing_but_row_numbers_is_refused_with_the_way_out(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("id,y\n1,3\n2,5\n3,4\n")
    with pytest.raises(
        ValueError, match=r"no input column .*'id' only tells the rows apart; --keep"
    ):
        datasets.read_csv(path, "y")
    assert datasets.read_csv(path, "y", keep=["id"]).columns == ("id",)


@pytest.mark.parametrize(
    "cell", ["2020_01", "1_000", "١٢", "１２", "1,5", "1 000", "0x10", "1e", "--1", "−1", "12%", "inf", "1e999"]
)  # fmt: skip
def test_what_no_table_writes_for_a_number_is_none(tmp_path, cell):
    path = tmp_path / "t.csv"
    path.write_text(text_of([["x", "y"], ["1", "2"], [cell, "3"], ["2", "4"], ["2", "5"]]), "utf-8")
    with pytest.raises(
        ValueError, match=r"column 'x' of .* holds .* in line 3; it must hold finite"
    ):
        datasets.read_csv(path, "y")


@pytest.mark.parametrize(
    ("cell", "value"), [("1e3", 1000), ("+1.5", 1.5), (" 3 ", 3), (".5", 0.5), ("7.", 7), ("-0", 0)]
)
def test_what_tables_write_for_a_number_is_one(tmp_path, cell, value):
    path = tmp_path / "t.csv"
    path.write_text(f"x,y\n{cell},2\n9,3\n8,4\n")
    assert datasets.read_csv(path, "y").x[0, 0] == value


REFUSED = {
    "decimal commas": ("x;y\n1,5;2\n2,5;3\n3,5;4\n", "utf-8", r"holds '1,5' .*decimal point"),
    "UTF-16": ("x,y\n1,2\n", "utf-16", r"iconv -f UTF-16 -t UTF-8"),
    "UTF-16 without a mark": ("x,y\n1,2\n3,4\n", "utf-16-be", r"iconv -f UTF-16BE -t UTF-8"),
    "UTF-32": ("x,y\n1,2\n", "utf-32", r"iconv -f UTF-32 -t UTF-8"),
    "Latin-1": ("x,y\n1,2\nä,4\n", "latin-1", r"byte 0xe4 in line 3\).*iconv -f WINDOWS-1252"),
    "a zip archive": ("PK\x03\x04...", "latin-1", r"zip archive .*export it as CSV"),
    "an open quote": ('x,y\n"1,2\n3,4\n', "utf-8", r"unexpected end of data.*every quote must be closed"),
    "zero bytes": ("x,y\n1,2\n\0,3\n", "utf-8", r"zero bytes"),
    "ragged lines": ("x,y\n1,2\n3\n4\n5,6\n7,8\n", "utf-8", r"line 3 .* 1 cells but there are 2 columns \(and 1"),
    "near names": ("a,target\n1,2\n3,4\n", "utf-8", r"--target 'y' is no column"),
    "one number": ("x,y\n1,2\n3,4\n3,y\n", "utf-8", r"the target 'y'"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_a_refusal_names_the_remedy(tmp_path, case):
    text, encoding, sentence = REFUSED[case]
    path = tmp_path / "t.csv"
    path.write_bytes(text.encode(encoding))
    with pytest.raises(ValueError, match=sentence):
        datasets.read_csv(path, "y")


@pytest.mark.parametrize("first", ["sep=;", '"sep=;"', "sep=;\r"])
def test_the_line_by_which_excel_names_the_delimiter_is_obeyed(tmp_path, first):
    path = tmp_path / "t.csv"
    path.write_text(f"{first}\nx, or so;y\n1;2\n2;3\n3;2\n")
    assert datasets.read_csv(path, "y").columns == ("x, or so",)
    path.write_text(f"{first}\nx, or so;y\n1;2\nthree;3\n3;2\n", newline="")
    with pytest.raises(ValueError, match=r"holds 'three' in line 4"):
        datasets.read_csv(path, "y")


def test_all_columns_that_do_not_fit_are_named_at_once(tmp_path):
    path = tmp_path / "titanic.csv"
    lines = [["PassengerId", "Survived", "Name", "Sex", "Age", "Fare", "Cabin", "Size"]]
    lines += [
        [
            k,
            k % 2,
            f"Braund, {k}",
            "male",
            "" if k == 3 else k,
            k / 2,
            "C85" if k % 3 else "",
            "inf",
        ]
        for k in range(9)
    ]
    path.write_text(text_of(lines))
    with pytest.raises(ValueError, match="--ignore Name Sex Age Cabin Size") as refused:
        datasets.read_csv(path, "Survived")
    sentence = str(refused.value)
    for column in ("Name", "Sex", "Age", "Cabin", "Size"):
        assert f"column {column!r}" in sentence
    assert "misses 1 of 9 values, the first in line 5" in sentence
    for remedy in ("encode words", "fill the gaps", "infinite"):
        assert remedy in sentence
    ignored = sentence.split("--ignore ")[1].split()
    assert datasets.read_csv(path, "Survived", ignored).columns == ("Fare",)


def test_unknown_columns_are_named_at_once_and_near_ones_suggested(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("price,area\n1,2\n3,4\n")
    with pytest.raises(
        ValueError, match=r"--target 'prise' and --ignore 'id' are no columns .*'price' meant"
    ):
        datasets.read_csv(path, "prise", ["id"])


def test_the_time_to_read_is_linear_in_the_columns(tmp_path):
    """Eight times the columns take about eight times as long; quadratic reading would take 64 times."""
    seconds = []
    for columns in (1000, 8000):
        path = tmp_path / f"{columns}.csv"
        lines = [[f"c{k}" for k in range(columns)]] + [
            [f"{j * k % 97}.5" for k in range(columns)] for j in range(1, 8)
        ]
        path.write_text(text_of(lines))
        tries = []
        for _ in range(3):
            began = time.process_time()
            assert datasets.read_csv(path, "c3").x.shape == (7, columns - 1)
            tries.append(time.process_time() - began)
        seconds.append(min(tries))
    assert seconds[1] < 20 * seconds[0]


def test_a_small_table_takes_little_memory(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("x,y\n1,2\n3,4\n")
    tracemalloc.start()
    datasets.read_csv(path, "y")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3e6


def test_what_has_no_end_is_refused_without_opening_it(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in ("/dev/zero", tmp_path / "pipe"):
        with pytest.raises(
            ValueError, match=r"is no regular file .*save its contents in a file first"
        ):
            datasets.read_csv(path, "y")


def test_a_table_that_is_too_large_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "t.csv"
    with open(path, "wb") as file:
        file.truncate(2**40)  # a terabyte of nothing
    monkeypatch.setattr(datasets.text, "LARGEST", 2**20)
    with pytest.raises(ValueError, match=r"more than 1 MiB; .*take fewer rows"):
        datasets.read_csv(path, "y")
    monkeypatch.setattr(rows, "MOST", 10)
    path.write_text("x,y\n" + "1,2\n" * 9)
    with pytest.raises(ValueError, match=r"more than 10 cells up to line 6; .*take fewer rows"):
        datasets.read_csv(path, "y")


@SETTINGS
@pytest.mark.fuzz
@given(st.binary(max_size=200) | st.text("x,;\t\"'\n01.e-NA ", max_size=80).map(str.encode))
def test_any_bytes_are_a_table_or_a_sentence(tmp_path_factory, raw):
    path = tmp_path_factory.mktemp("t") / "t.csv"
    path.write_bytes(raw)
    for header_ in (None, True, False):
        try:
            found = datasets.read_csv(path, "1", header=header_)
        except ValueError as refused:
            assert str(path) in str(refused)  # noqa: PT017
        else:
            assert np.isfinite(found.x).all()
            assert len(found.f) == len(found.x)
