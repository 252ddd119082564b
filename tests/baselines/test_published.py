"""What the cards carry is what the sources print, and each number has one unit and one name."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from fer_bench import registry
from fer_bench.baselines import published as cards
from fer_bench.baselines.published import all_published, published

FOLDER = Path(cards.__file__).parent
PAPERS = Path(__file__).parents[2].parent / "shared" / "papers"
SHORT = {
    "AL": "AlexNet", "R18": "ResNet-18", "MMx": "MLP-Mixer", "ResNet18": "ResNet-18",
    "ResNeXt50": "ResNeXt-50", "Mlp-Mixer": "MLP-Mixer", "Inception-Res.": "Inception-ResNet",
}  # fmt: skip
PICTURES = {"Images in Fig. 9": "figure 9", "#1 (Children)": "children", "#2 (Men)": "men",
            "#3 (Women)": "women"}  # fmt: skip
ATTRIBUTES = {
    "appearance": "MLP-Mixer, appearance alone",
    "appearance, gender": "MLP-Mixer, appearance and gender",
    "appearance, skin color": "MLP-Mixer, appearance and skin colour",
    "appearance, gender, skin color": "MLP-Mixer, appearance, gender and skin colour",
    "EIF (MMx) (Tab. 2)": "MLP-Mixer",
    "w/o L_cov": "MLP-Mixer, without L_cov",
    "w/o L_corr": "MLP-Mixer, without L_corr",
    "w/o L_cov & L_corr": "MLP-Mixer, without L_cov and L_corr",
}


def sections():
    text = (FOLDER / "transcript.txt").read_text(encoding="utf-8")
    for part in re.split(r"\n\n(?=\[)", text)[1:]:
        name, *lines = part.strip().splitlines()
        yield name[1:-1].split(":")[0], lines


TRANSCRIPT = dict(sections())


def lines(name):
    return [re.split(r" \| ", line) for line in TRANSCRIPT[name]]


def number(cell):
    return None if cell == "-" else float(cell.rstrip("%"))


def method_and_setting(label):
    several = {
        "Self-Attention AP": ("Self-Attention or AP", ""),
        "EIF (R18) ELIM (MMx)": ("EIF or ELIM", "ResNet-18 or MLP-Mixer"),
    }
    if label in several:
        return several[label]
    method, _, setting = label.partition(" (")
    return method, SHORT.get(setting.rstrip(")"), setting.rstrip(")"))


def carried(source, where, metrics, *, dataset=None):
    """(method, setting) -> values in the order of `metrics`, as far as they are carried."""
    rows = {}
    for method, fact in all_published():
        if fact.source != f"{source}, {where}" or (dataset and fact.dataset != dataset):
            continue
        row = rows.setdefault((method, fact.setting), [None] * len(metrics))
        row[metrics.index(fact.metric)] = fact.value
    return rows


def padded(values, n):
    return [*values, *[None] * (n - len(values))]


def sides(*names):
    return [f"{name}.{side}" for name in names for side in ("valence", "arousal")]


EIF = "Kim, Kim, Song, IEEE Access 2024"


@pytest.mark.parametrize(
    ("table", "metrics"),
    [(2, sides("rmse", "ccc")), (3, sides("rmse", "sagr", "pcc", "ccc")),
     (4, sides("pcc", "ccc"))],
)  # fmt: skip
def test_tables_of_valence_and_arousal(table, metrics):
    expected = {}
    for label, *cells in lines(f"EIF table {table}"):
        key = method_and_setting(label)
        if key[0] in ("HO-Conv", "HO-Conv-trans.", "Kollias et al."):
            key = (key[0], "temporal")
        expected[key] = padded([number(cell) for cell in cells], len(metrics))
    assert carried(EIF, f"table {table}", metrics) == expected


def test_realism_ratings():
    metrics = [*(f"rating.{k}" for k in range(1, 5)), "rated_real"]
    expected = {}
    for label, *cells in lines("EIF table 1"):
        for k, method in enumerate(("EIF", "ELIM", "CAF")):
            values = [number(cell) for cell in cells[5 * k : 5 * k + 5]]
            expected[method, PICTURES[label]] = values
            assert sum(v or 0 for v in values[:4]) == 18
    assert carried(EIF, "table 1", metrics) == expected


def test_ablation():
    expected = {
        ("EIF", ATTRIBUTES[label]): [number(c) for c in cells]
        for label, *cells in lines("EIF table 5")
    }
    assert carried(EIF, "table 5", sides("ccc")) == expected


@pytest.mark.parametrize(
    ("dataset", "column", "suffix"), [("AffectNet", 0, ", 7 classes"), ("RAF-DB", 1, "")]
)
def test_seven_classes(dataset, column, suffix):
    expected = {}
    for label, *cells in lines("EIF table 6"):
        method, setting = method_and_setting(label)
        expected[method, setting + suffix] = [number(cells[column])]
    assert carried(EIF, "table 6", ["accuracy"], dataset=dataset) == expected


def test_classes_of_the_rafdb_report():
    metrics = ["class_accuracy", "precision", "recall", "f1", "support"]
    expected = {
        ("DICE-FER", f"course report, test part, {label.lower()}"): [number(c) for c in cells]
        for label, *cells in lines("RAF-DB report")
    }
    assert carried("RAF-DB course report", "the table below figure 8", metrics) == expected
    supports = {row[4] for row in expected.values()}
    assert sum(supports) == 3068
    right = sum(round(row[2] * row[4]) for row in expected.values())
    assert right / 3068 == pytest.approx(0.825, abs=5e-4)  # the accuracy of its figure 8


def test_dice_fer_readme():
    for label, *cells in lines("DICE-FER README"):
        rows = carried("README of a DICE-FER implementation", "results", ["accuracy", "mig"],
                       dataset=label)  # fmt: skip
        assert list(rows.values()) == [[number(cell) for cell in cells]]


@pytest.mark.parametrize(
    ("section", "source", "settings"),
    [
        ("RAF-DB report, training", "RAF-DB course report", ("training part", "epoch")),
        ("RAF-DB report, test", "RAF-DB course report", ("test part",)),
        ("webcam report", "webcam course report", ("",)),
        ("adversarial branch", "arXiv 2008.07001", ("",)),
    ],
)
def test_numbers_in_running_text(section, source, settings):
    text = re.sub(r"over 20 epochs", "", " ".join(TRANSCRIPT[section]))
    printed = [float(n) for n in re.findall(r"\d+(?:\.\d+)?", text)]
    ours = [
        fact.value
        for _, fact in all_published()
        if fact.source.startswith(source)
        and "table" not in fact.source.replace("figure 8 and the table", "")
        and any(s in fact.setting for s in settings)
    ]
    assert Counter(ours) == Counter(printed)


@pytest.mark.parametrize(
    ("prefix", "file"),
    [("EIF", "eif_2024.txt"), ("RAF-DB report", "dice_fer_rafdb_report.txt"),
     ("DICE-FER README", "dice_fer_readme.txt"), ("webcam", "dice_fer_webcam_report.txt")],
)  # fmt: skip
def test_the_transcript_is_in_the_documents(prefix, file):
    if not PAPERS.is_dir():
        pytest.skip("the source documents are not here")
    printed = Counter(re.findall(r"\d+(?:\.\d+)?", (PAPERS / file).read_text(encoding="utf-8")))
    for name, rows in TRANSCRIPT.items():
        if name.startswith(prefix):
            assert not Counter(re.findall(r"\d+\.\d+", " ".join(rows))) - printed


def test_every_number_has_a_name_a_unit_and_a_source():
    units = {}
    for method, fact in all_published():
        assert all((method, fact.dataset, fact.source)), fact
        assert units.setdefault(fact.metric, fact.unit) == fact.unit or fact.metric in (
            "class_accuracy",  # a fraction in one table, per cent in a figure
        )
    assert not {d for _, f in all_published() for d in [f.dataset] if re.search(r"AffectNet.", d)}


def test_no_row_holds_two_values_of_one_measure():
    seen = {}
    for method, fact in all_published():
        key = (method, fact.setting, fact.dataset, fact.metric)
        assert seen.setdefault(key, fact.value) == fact.value, key


@pytest.mark.parametrize("name", ["dice-fer", "eif", "elim", "caf", "adversarial-branch"])
def test_every_method_shows_what_its_sources_print(name):
    info = registry.methods.get(name).info
    assert info.published == published(info.title) != ()


def test_remarks_belong_to_their_numbers():
    notes = {(f.dataset, f.metric): f.note for _, f in all_published() if "README of a" in f.source}
    assert notes["AffectNet", "accuracy"].startswith("18 points")
    assert notes["AffectNet", "mig"] == ""
    (rivals,) = (f.note for f in published("adversarial branch"))
    assert "gACNN" in rivals
    assert "DLP-CNN" in rivals
