"""Tables become standardised data; whatever is wrong with a file is one sentence that names it."""

import csv

import numpy as np
import pytest
import torch

from jko import datasets


def write(path, text, encoding="utf-8"):
    path.write_text(text, encoding=encoding)
    return path


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def table(M=40, classes=None):
    rng = np.random.default_rng(0)
    x = np.column_stack([rng.normal(5, 3, M), np.full(M, 7.0), rng.normal(size=M)])
    f = np.where(np.arange(M) % 4 == 0, -1.0, 1.0) if classes else 100 + 20 * x[:, 0]
    return datasets.Table("made", ("a", "flat", "b"), x, datasets.Target(("y",), classes), f)


@pytest.mark.parametrize(
    ("name", "shape", "classes"),
    [
        ("breast-cancer", (569, 30), ("malignant", "benign")),
        ("diabetes", (442, 10), None),
        ("digits", (1797, 64), tuple("0123456789")),
        ("iris", (150, 4), ("setosa", "versicolor", "virginica")),
        ("wine", (178, 13), ("class_0", "class_1", "class_2")),
    ],
)
def test_shipped_sets_are_complete(name, shape, classes):
    read = datasets.load(name)
    assert read.x.shape == shape
    assert len(read.columns) == shape[1]
    assert read.classes == classes
    if classes and len(classes) == 2:
        assert sorted(set(read.f.tolist())) == [-1, 1]
    elif classes:
        assert read.f.shape == (shape[0], len(classes))
        assert np.array_equal(read.f.sum(1), np.ones(shape[0]))


def test_an_unknown_set_is_refused_with_the_list():
    with pytest.raises(
        ValueError, match=r"'boston' is unknown; choose from breast-cancer, diabetes"
    ):
        datasets.load("boston")


def test_breast_cancer_takes_malignant_for_minus_one():
    read = datasets.load("breast-cancer")
    assert (read.f == -1).sum() == 212


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_csv_file_is_read_back_to_the_bit(tmp_path, delimiter, encoding):
    raw = datasets.load("diabetes")
    path = tmp_path / "diabetes.csv"
    with open(path, "w", newline="", encoding=encoding) as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerow([*raw.columns, "y, in units"])
        writer.writerows(
            [*map(repr, x), repr(f)] for x, f in zip(raw.x.tolist(), raw.f.tolist(), strict=True)
        )
    read = datasets.read_csv(path, "y, in units")
    assert read.columns == raw.columns
    assert np.array_equal(read.x, raw.x)
    assert np.array_equal(read.f, raw.f)


@pytest.mark.parametrize(
    ("values", "classes"), [(["no", "yes", "no"], ("no", "yes")), (["3", "2.0", "3"], ("2", "3"))]
)
def test_two_values_are_two_classes_in_sorted_order(tmp_path, values, classes):
    rows = "".join(f"{k},{value}\n" for k, value in enumerate(values))
    read = datasets.read_csv(write(tmp_path / "t.csv", "x,y\n" + rows), "y")
    assert read.classes == classes
    assert read.f.tolist() == [-1.0 if v in ("no", "2.0") else 1.0 for v in values]


def test_an_ignored_column_may_hold_anything(tmp_path):
    path = write(tmp_path / "t.csv", "id,x,y\nanna,1,2\n,2,3\nbob,3,5\n")
    assert datasets.read_csv(path, "y", ignore=["id"]).columns == ("x",)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", r"is empty; it needs a line of column names"),
        ("\n\n", r"is empty"),
        ("x,y\n", r"has column names but no rows"),
        ("x,z\n1,2\n", r"--target 'y' is no column of .*; its columns are x, z"),
        ("y\n1\n2\n", r"has no input column besides the target 'y'"),
        (
            "x,y\n1,2\nblue,3\n3,4\n",
            r"column 'x' of .* holds 'blue' in line 3; .* finite numbers: encode",
        ),
        ("x,y\n1,2\ninf,3\n3,4\n", r"column 'x' of .* holds 'inf' in line 3"),
        (
            "x,y\n1,2\n,3\nNA,4\n",
            r"column 'x' of .* misses 2 of 3 values, the first in line 3; .*fill",
        ),
        ("x,y\n1,\n2,3\n", r"column 'y' of .* misses 1 of 2 values, the first in line 2"),
        ("x,y\n1,2\n3\n", r"line 3 of .* has 1 cells but there are 2 columns"),
        ("x,x,y\n1,2,3\n", r"repeats a name \(x, x, y\); it must name each column once"),
        ("1,2\n3,4\n", r"holds numbers \(1, 2\); it must name each column once"),
        ("x,y\n1,5\n2,5\n", r"the target 'y' of .* is 5.0 in every row; it must vary"),
        (
            "x,y\n1,5\n2,6\n3,red\n",
            r"the target 'y' of .* holds text, first 'red' in line 4, and 3 different",
        ),
    ],
)
def test_a_bad_file_is_refused_in_a_sentence(tmp_path, text, sentence):
    with pytest.raises(ValueError, match=sentence):
        datasets.read_csv(write(tmp_path / "bad.csv", text), "y")


def test_a_file_that_is_no_text_is_refused(tmp_path):
    path = tmp_path / "binary.csv"
    path.write_bytes(b"\xff\xfe\x00\x01,\x80")
    with pytest.raises(ValueError, match="is no text table in UTF-8"):
        datasets.read_csv(path, "y")


def test_a_missing_file_and_a_missing_ignored_column_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"--csv .*nowhere.csv' cannot be read: No such file"):
        datasets.read_csv(tmp_path / "nowhere.csv", "y")
    with pytest.raises(ValueError, match=r"--ignore 'id' is no column of .*; its columns are x, y"):
        datasets.read_csv(write(tmp_path / "t.csv", "x,y\n1,2\n2,3\n"), "y", ignore=["id"])


def test_the_training_part_is_standardised_and_the_test_part_by_the_same_numbers():
    made = table()
    split = datasets.split(made, 0.3, seeded())
    x = split.train.x
    assert (split.train.M, split.test.M) == (28, 12)
    assert x.mean(0).abs().max() < 1e-14
    assert torch.allclose(x.std(0, unbiased=False), torch.ones(2, dtype=torch.float64))
    assert abs(float(split.train.f.mean())) < 1e-14
    own = split.units.own(torch.cat([split.train.f, split.test.f]).numpy())
    assert np.allclose(np.sort(own), np.sort(made.f))
    both = torch.cat([split.train.x, split.test.x])[:, 0]  # one affine map for both parts
    line = np.polyfit(np.sort(made.x[:, 0]), np.sort(both.numpy()), 1)
    assert np.allclose(np.polyval(line, np.sort(made.x[:, 0])), np.sort(both.numpy()))


def test_the_units_of_a_column_do_not_matter():
    made = table()
    huge = datasets.Table(
        made.name, made.columns, made.x * 2.0**900, made.target, made.f * 2.0**900
    )
    a, b = (datasets.split(one, 0.3, seeded()) for one in (made, huge))
    assert torch.allclose(a.train.x, b.train.x, rtol=0, atol=1e-14)
    assert torch.allclose(a.test.f, b.test.f, rtol=0, atol=1e-14)


def test_constant_inputs_are_left_out_by_name():
    split = datasets.split(table(), 0.3, seeded())
    assert split.scaling.columns == ("a", "b")
    assert split.scaling.dropped == ("flat",)


def test_classes_keep_their_shares_in_both_parts():
    split = datasets.split(table(40, classes=("a", "b")), 0.3, seeded())
    assert [(int((part.f == -1).sum()), part.M) for part in (split.train, split.test)] == [
        (7, 28),
        (3, 12),
    ]


def test_the_split_is_a_function_of_the_seed():
    first, again, other = (datasets.split(table(), 0.3, seeded(s)).test.x for s in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize(
    ("made", "fraction", "sentence"),
    [
        (table(), 1.5, r"test_fraction = 1.5; it must be a finite number < 1 and at least 0"),
        (table(2), 0.1, r"of the 2 rows of the table leaves 2 to train and 0 to test"),
        (
            table(4, classes=("a", "b")),
            0.3,
            r"of the 1 rows of class 'a' leaves 1 to train and 0 to test",
        ),
        (
            datasets.Table("t", ("a",), np.ones((9, 1)), datasets.Target(("y",)), np.arange(9.0)),
            0.3,
            "every input of 't' is constant on the 6 training rows",
        ),
    ],
)
def test_a_table_that_cannot_be_split_is_refused(made, fraction, sentence):
    with pytest.raises(ValueError, match=sentence):
        datasets.split(made, fraction, seeded())
