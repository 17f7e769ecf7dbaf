"""Whatever it is given, the command line ends by its exit codes and in sentences, never in a traceback."""

import random
import re

import pytest
from fuzz import examples, seed

import jko
from jko.cli import main

SIGNS = "abxyzé谷ÄR01239.,;|\t \n\r\"'#$\\-+eE_%?\x00\x1b\u202e\ufeff\u0661"
NAMES = ["x", "y", "id", "", "1", "kind", "Unnamed: 0", "a b", "2020", "\x1b[2J", "y\u202e", "$x$"]
CELLS = [
    "1",
    "2.5",
    "-3e2",
    "",
    "NA",
    "red",
    "1,5",
    "inf",
    "2020_01",
    "x",
    " 7 ",
    '"',
    "1e999",
    "\u0662",
]
NUMBERS = [
    "0",
    "1",
    "2",
    "-1",
    "0.5",
    "3.7",
    "nan",
    "inf",
    "1e308",
    "1e-300",
    "1e400",
    "x",
    "",
    "99999999999999999999",
    "٣",
]


def table(rng):
    """The bytes of something like a table."""
    if rng.random() < 0.2:
        return bytes(rng.randrange(256) for _ in range(rng.randrange(60)))
    if rng.random() < 0.2:
        return "".join(rng.choice(SIGNS) for _ in range(rng.randrange(120))).encode()
    good = rng.random() < 0.6
    names = rng.sample(["x", "y", "id", "kind", "$x$", "\x1b[2J"], rng.randint(2, 5))
    lines = [names if "y" in names else [*names, "y"]]
    for k in range(rng.randint(0, 14)):
        lines.append([f"{rng.gauss(0, 1):.3f}" if good else rng.choice(CELLS) for _ in lines[0]])
        lines[-1][0] = str(k) if rng.random() < 0.3 else lines[-1][0]
    delimiter = rng.choice(",;\t| ")
    text = "\n".join(delimiter.join(line) for line in lines)
    return text.encode(rng.choice(["utf-8", "utf-8-sig", "utf-16", "latin-1"]), "replace")


def training(rng, path):
    """Arguments of ``train``, small where they are legal."""
    given = ["train"] + (
        ["--csv", path] if rng.random() < 0.9 else [rng.choice(["diabetes", "iris", ""])]
    )
    given += ["--target", "y" if rng.random() < 0.7 else rng.choice(NAMES)] * (rng.random() < 0.95)
    given += ["--neurons", rng.choice(["1", "4", "6"]), "--steps", rng.choice(["1", "2"])]
    for option in (
        "--tau",
        "--lam",
        "--test-fraction",
        "--seed",
        "--threads",
        "--neurons",
        "--steps",
        "--t1",
    ):
        if rng.random() < 0.12:
            number = rng.choice(NUMBERS)
            large = option in ("--threads", "--t1") or (
                option in ("--neurons", "--steps") and len(number) > 3
            )
            given += [option, "1" if large else number]
    for option, choices in (
        ("--ignore", NAMES),
        ("--keep", NAMES),
        ("--header", ["yes", "no", "x"]),
    ):
        if rng.random() < 0.25:
            given += [
                option,
                *rng.sample(choices, 1 if option == "--header" else rng.randint(1, 3)),
            ]
    if rng.random() < 0.5:
        given += [
            "--out",
            rng.choice(["run", "other", "", "a/b", "\x1b[1m", "a\0", path, "x" * 300]),
        ]
    given += [flag for flag in ("--json", "--resume", "--force") if rng.random() < 0.25]
    given += ["--activation", rng.choice(["relu", "sin", "softplus", "x"])] * (rng.random() < 0.3)
    given += ["--formulation", "graph"] * (rng.random() < 0.2)
    return given + [rng.choice(["--nonsense", "\x1b[31m", "--ignore"])] * (rng.random() < 0.05)


def ended(arguments):
    """The exit code."""
    try:
        return main(arguments)
    except SystemExit as stop:
        return stop.code


@pytest.fixture
def apart(tmp_path, monkeypatch):
    """In a folder of its own, without the two long parts of the report."""
    monkeypatch.chdir(tmp_path)
    unknown = {
        "gap": None,
        "lower_bound": None,
        "rigorous": False,
        "reason": "not asked",
        "cpu_seconds": 0.0,
    }
    found = {f"optimality_{name}": value for name, value in unknown.items()}
    monkeypatch.setattr("jko.cli.report._optimality", lambda job, state: found)
    for name in ("energy", "prediction"):
        monkeypatch.setattr(f"jko.cli.pictures.{name}", lambda *given: given[-1].write_bytes(b""))
    return tmp_path


@pytest.mark.fuzz
@pytest.mark.parametrize("part", range(12))
def test_train_ends_by_its_codes_whatever_it_is_given(capsys, apart, part):
    rng = random.Random(1000 * seed() + part)
    for k in range(examples(12)):
        path = rng.choice([f"t{k}.csv", f"\x1b[1m{k}", f"a b{k}.csv"])
        (apart / path).write_bytes(table(rng))
        arguments = training(rng, path)
        code = ended(arguments)
        out, err = capsys.readouterr()
        assert code in (0, 1, 2), arguments
        assert all(sign.isprintable() or sign == "\n" for sign in out + err), arguments
        if code:
            assert out == "", arguments
            assert re.fullmatch(r"jko( train)?: [^\n]+\n", err), arguments


@pytest.mark.filterwarnings(
    "ignore:unclosed file:ResourceWarning"
)  # numpy's, of an archive cut short
@pytest.mark.fuzz
@pytest.mark.parametrize("part", range(3))
def test_distance_ends_by_its_codes_whatever_it_is_given(capsys, apart, part):
    rng = random.Random(1000 * seed() + part)
    jko.flow(jko.SquaredNorm(), jko.Particles([[1.0, 2.0]]), tau=1.0, steps=1).save("good.npz")
    jko.flow(jko.SquaredNorm(), jko.Particles([[1.0]]), tau=1.0, steps=1).save("line.npz")
    good = (apart / "good.npz").read_bytes()
    for k in range(examples(10)):
        (apart / "cut.npz").write_bytes(good[: rng.randrange(len(good))])
        (apart / "text.npz").write_bytes(table(rng))
        pair = rng.choices(
            ["good.npz", "line.npz", "cut.npz", "text.npz", ".", "", "a\0b", "\x1b[1m"], k=2
        )
        code = ended(["distance", *pair])
        out, err = capsys.readouterr()
        assert code in ((0,) if pair == ["good.npz"] * 2 or pair == ["line.npz"] * 2 else (2,)), (
            k,
            pair,
        )
        assert all(sign.isprintable() or sign == "\n" for sign in out + err)


@pytest.mark.parametrize(
    "command", ["demo", "doctor", "validate", "distance", "learn", "", "-x", "--train"]
)
def test_what_a_command_does_not_take_is_refused(capsys, command):
    assert ended([command, "\x1b[31m", "--nonsense"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "\x1b" not in err
    assert err.count("\n") == 1
