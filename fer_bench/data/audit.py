"""What is wrong with a data set: numbers first, then a page to look through.

`audit` finds duplicates, blurred, dark and odd pictures, likely wrong labels, subjects on both
sides of a split, and how far labels, identities and attributes depend on each other. `save`
writes the numbers (JSON), the page (HTML) and an empty file of decisions (CSV), which readers and
`fer-bench data prepare` follow once it is filled in.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.stats.contingency import association, crosstab
from sklearn.decomposition import PCA
from sklearn.metrics import balanced_accuracy_score
from torch.nn import functional

from fer_bench.data.cross_validation import held_out_probabilities
from fer_bench.data.decisions import DECISIONS
from fer_bench.data.detect import Detector
from fer_bench.data.duplicates import blocks, exact_groups, grouped, near_pairs, shrunk
from fer_bench.data.faces import FaceData
from fer_bench.data.framing import detected_eyes, framing, tells_class
from fer_bench.data.pages import data_uri, render, write_page
from fer_bench.data.prepare import Settings, measure, outside_photograph
from fer_bench.data.show import facts, picture
from fer_bench.data.splits import make_folds
from fer_bench.errors import DataError

KINDS = {
    "duplicate across splits": "The same pixels on both sides of a split.",
    "near-duplicate across splits": "Almost the same picture on both sides of a split.",
    "duplicate with another label": "The same picture, labelled differently.",
    "one photograph under two people": "The same picture, with different subjects.",
    "duplicate": "The same pixels within one part.",
    "near-duplicate": "Almost the same picture within one part.",
    "blank": "No contrast: there is nothing to see.",
    "dark": "Too dark.",
    "bright": "Too bright.",
    "blurred": "Much less sharp than the other faces.",
    "out of frame": "Much of the face, from brows to chin, lies outside the picture.",
    "odd crop": "Unlike the other faces: another crop, pose or object.",
    "doubtful label": "Cross-validated predictions disagree with the label.",
}
GRAVE = tuple(KINDS)[:4]
MIN_SKILL = 0.25  # of the way from chance to perfection, below which doubts about labels are noise
MAX_TRAINING = 10_000
PARTITIONS = 3
DOUBT = 0.65
MAX_SHOWN = 60


@dataclass(frozen=True)
class Suspect:
    """One face to look at.

    Attributes:
        row, key: which.
        kind: one of `KINDS`.
        detail: why, with figures.
        strength: for sorting; larger is more suspect.
        others: rows of the duplicates.
        suggestion: the expression that predictions suggest instead.
    """

    row: int
    key: str
    kind: str
    detail: str
    strength: float
    others: tuple[int, ...] = ()
    suggestion: str | None = None


@dataclass
class Audit:
    """Findings: sentences, counts, dependence, framing, and suspects, the strongest first.

    `framing` says of each property of the framing how well it alone tells expression and person.
    """

    problems: list[str] = field(default_factory=list)
    counts: dict[str, Any] = field(default_factory=dict)
    dependence: dict[str, dict[str, float]] = field(default_factory=dict)
    framing: dict[str, dict[str, Any]] = field(default_factory=dict)
    suspects: list[Suspect] = field(default_factory=list)
    label_check: dict[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types."""
        return asdict(self)


def audit(
    data: FaceData,
    *,
    labels: bool = True,
    seed: int = 0,
    detector: Detector | None = None,
    progress: Callable[[str], None] = lambda step: None,
) -> Audit:
    """Examine a data set.

    Args:
        data: the faces, loaded with `bad_images="set-aside"` so that bad ones are listed.
        labels: look for wrong labels, which trains a small classifier in five folds.
        seed: of these folds.
        detector: finds the eyes, from which it is known whether a face is out of frame; MTCNN by
            default.
        progress: told what is looked at next.
    """
    result = Audit()
    result.counts = _counts(data)
    progress("duplicates")
    result.suspects += _duplicates(data)
    progress("bad pictures")
    result.suspects += _quality(data)
    if labels and len(data.classes) > 1:
        progress("labels, which trains a classifier in five folds")
        suspects, result.label_check = label_suspects(data, seed=seed)
        result.suspects += suspects if result.label_check.get("skill", 0) >= MIN_SKILL else []
    progress("dependences between columns")
    result.dependence = _dependences(data, seed=seed)
    progress("what the framing tells")
    rows, eyes = detected_eyes(data, seed=seed, detector=detector)
    result.suspects += [] if eyes is None else _out_of_frame(data, rows, eyes)
    result.framing = framing(data, seed=seed, detector=detector, eyes=eyes)
    result.problems = _problems(data, result)
    order = list(KINDS)
    result.suspects.sort(key=lambda s: (order.index(s.kind), -s.strength))
    return result


# ---------------------------------------------------------------------- findings


def _counts(data: FaceData) -> dict[str, Any]:
    table = data.table
    split = table["split"].fillna("all").to_numpy()
    expression = table["expression"].fillna("(none)").to_numpy()
    by_class = pd.crosstab(expression, split).to_dict("index")
    names = [*data.classes, "(none)"]
    per_subject = table["subject"].value_counts()
    return {
        "faces": len(data),
        "set aside": len(data.rejects),
        "without expression": int((data.expression < 0).sum()),
        "without subject": int((data.subject < 0).sum()),
        "without valence-arousal": int((~np.isfinite(data.valence_arousal).all(1)).sum()),
        "subjects": len(data.subjects),
        "faces a subject": [int(per_subject.min()), float(per_subject.median()),
                            int(per_subject.max())] if len(per_subject) else [],
        "by class and split": {name: by_class[name] for name in names if name in by_class},
    }  # fmt: skip


def _duplicates(data: FaceData) -> list[Suspect]:
    split = data.table["split"].fillna("").to_numpy()
    suspects = []
    seen: set[frozenset[int]] = set()
    exact, near = exact_groups(data), grouped(near_pairs(data)[0], len(data))
    for name, groups in (("duplicate", exact), ("near-duplicate", near)):
        for group in groups:
            rows = frozenset(group.tolist())
            if rows in seen:
                continue
            seen.add(rows)
            labels = sorted({data.classes[c] for c in data.expression[group] if c >= 0})
            people = sorted({data.subjects[c] for c in data.subject[group] if c >= 0})
            kinds = []
            if len(set(split[group])) > 1:
                kinds.append(f"{name} across splits")
            if len(labels) > 1 and name == "duplicate":
                kinds.append("duplicate with another label")
            if len(people) > 1:
                kinds.append("one photograph under two people")
            detail = f"{len(group)} copies"
            detail += f", labelled {' and '.join(labels)}" if labels else ""
            detail += f", of {' and '.join(people)}" if len(people) > 1 else ""
            first, *others = group.tolist()
            suspects += [
                Suspect(first, data.keys[first], kind, detail, len(group), tuple(others))
                for kind in kinds or [name]
            ]
    return suspects


def _quality(data: FaceData) -> list[Suspect]:
    """Blank, dark, bright and blurred faces, and faces unlike all others."""
    n = len(data)
    values = np.empty((n, 3))
    small = np.empty((n, 16, 16), dtype=np.float32)
    for rows in blocks(n):
        images = data.gather(rows)
        gray = images.mean(axis=3).round().astype(np.uint8)
        values[rows] = [tuple(measure(face).values()) for face in gray]
        small[rows] = shrunk(images, 16)
    sharpness, brightness, contrast = values.T
    softness = -_robust_z(np.log(sharpness + 1e-6))
    oddness = _robust_z(np.log(_distance_from_others(small) + 1e-6))
    tests = [
        ("blank", contrast < 3, -contrast, lambda r: f"deviation {contrast[r]:.1f}"),
        ("dark", brightness < 25, -brightness, lambda r: f"mean {brightness[r]:.0f} of 255"),
        ("bright", brightness > 235, brightness, lambda r: f"mean {brightness[r]:.0f} of 255"),
        ("blurred", softness > 5, softness, lambda r: f"{softness[r]:.1f} deviations softer"),
        ("odd crop", oddness > 5, oddness, lambda r: f"{oddness[r]:.1f} deviations apart"),
    ]
    suspects, taken = [], np.zeros(n, dtype=bool)
    for kind, flagged, strength, detail in tests:
        for row in np.flatnonzero(flagged & ~taken):
            suspects.append(
                Suspect(int(row), data.keys[row], kind, detail(row), float(strength[row]))
            )
        taken |= flagged
    return suspects


def _out_of_frame(
    data: FaceData, rows: NDArray[np.int64], eyes: NDArray[np.float64]
) -> list[Suspect]:
    suspects = []
    for row, pair in zip(rows, eyes, strict=True):
        outside = outside_photograph(pair, (1, 1)) if np.isfinite(pair).all() else 0.0
        if outside > Settings().max_outside:
            detail = f"{outside:.0%} of the face outside"
            suspects.append(Suspect(int(row), data.keys[row], "out of frame", detail, outside))
    return suspects


def _robust_z(values: NDArray[np.float64]) -> NDArray[np.float64]:
    middle = np.median(values)
    spread = 1.4826 * np.median(np.abs(values - middle))
    return (values - middle) / max(spread, 1e-9)


def _distance_from_others(small: NDArray[np.float32]) -> NDArray[np.float64]:
    """[N] what a low-dimensional model of the other half of the faces cannot explain of each."""
    flat = small.reshape(len(small), -1).astype(np.float64)
    flat -= flat.mean(1, keepdims=True)
    flat /= np.maximum(flat.std(1, keepdims=True), 3)
    if len(flat) < 20:
        return np.ones(len(flat))
    halves = np.array_split(np.random.default_rng(0).permutation(len(flat)), 2)
    distance = np.empty(len(flat))
    for ours, theirs in (halves, halves[::-1]):
        model = PCA(min(20, len(theirs) // 4), random_state=0).fit(flat[theirs[:MAX_TRAINING]])
        rest = flat[ours] - model.inverse_transform(model.transform(flat[ours]))
        distance[ours] = np.sqrt((rest**2).mean(1))
    return distance


def label_suspects(data: FaceData, *, seed: int = 0) -> tuple[list[Suspect], dict[str, float]]:
    """Faces whose label is probably wrong, by confident learning (Northcutt et al., 2021).

    A classifier on oriented gradients and small pictures predicts every face from folds that know
    neither it nor (where subjects are known) its subject; three partitions into folds are
    averaged. A label is suspect if the classifier gives it less than `DOUBT` times what a typical
    face of its class gets, and another class more. The strength of a suspect is the first
    choice's probability less that of the label.

    Returns:
        The suspects, and how well the classifier does: `accuracy`, `majority` (the share of the
        largest class), `balanced_accuracy`, `chance` (of that), and `skill`: the accuracy's way
        from `majority` to 1.
    """
    labelled = np.flatnonzero(data.expression >= 0)
    view = data.subset(labelled)
    y = view.expression
    features = np.concatenate([_label_features(view.gather(r)) for r in blocks(len(view))])
    try:
        probability = _kept_out(view, features, seed)
    except DataError:  # fewer than five people
        blind = view.with_table(view.table.drop(columns="subject"))
        if len(blind) < 10:
            return [], {}
        probability = _kept_out(blind, features, seed)
    own = probability[np.arange(len(y)), y]
    typical = np.array(
        [own[y == c].mean() if (y == c).any() else np.inf for c in range(len(view.classes))]
    )
    best = probability.argmax(1)
    wrong = (best != y) & (own < DOUBT * typical[y])
    accuracy, majority = float((best == y).mean()), float(np.bincount(y).max() / len(y))
    check = {
        "accuracy": accuracy,
        "majority": majority,
        "balanced_accuracy": float(balanced_accuracy_score(y, best)),
        "chance": 1 / len(np.unique(y)),
        "skill": (accuracy - majority) / (1 - majority) if majority < 1 else 0.0,
        "faces": len(y),
        "suspects": int(wrong.sum()),
    }
    suspects = [
        Suspect(
            int(labelled[row]),
            view.keys[row],
            "doubtful label",
            f"labelled {view.classes[y[row]]} ({own[row]:.0%}), looks like "
            f"{view.classes[best[row]]} ({probability[row, best[row]]:.0%})",
            float(probability[row, best[row]] - own[row]),
            suggestion=view.classes[best[row]],
        )
        for row in np.flatnonzero(wrong)
    ]
    return suspects, check


def _kept_out(view: FaceData, features: NDArray[np.float32], seed: int) -> NDArray[np.float64]:
    """[N, classes] probabilities of models that know neither a face nor its subject."""
    total = np.zeros((len(view), len(view.classes)))
    for partition in range(PARTITIONS):
        rng = np.random.default_rng([seed, partition])
        folds = [
            (rng.permutation(np.union1d(f.train, f.validation))[:MAX_TRAINING], f.test)
            for f in make_folds(view, n_folds=5, seed=seed + partition).folds
        ]
        total += held_out_probabilities(
            features, view.expression, folds,
            classes=len(view.classes), components=100, rows_per_component=3, strength=0.05,
        )  # fmt: skip
    return total / PARTITIONS


def _label_features(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """[B, 768]: edge directions, and gray values of 16x16 pixels, normalised."""
    small = shrunk(images, 16).reshape(len(images), -1)
    small -= small.mean(axis=1, keepdims=True)
    small /= np.maximum(small.std(axis=1, keepdims=True), 1)
    return np.concatenate([oriented_gradients(images), small], axis=1)


def oriented_gradients(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """[B, H, W, C] -> [B, 512]: strength of 8 edge directions in 8x8 cells, normalised."""
    gray = torch.from_numpy(shrunk(images, 64))[:, None]
    gray = (gray - gray.mean((1, 2, 3), keepdim=True)) / gray.std((1, 2, 3), keepdim=True).clamp(1)
    dx = functional.pad(gray[..., 2:] - gray[..., :-2], (1, 1, 0, 0))
    dy = functional.pad(gray[..., 2:, :] - gray[..., :-2, :], (0, 0, 1, 1))
    strength, angle = torch.hypot(dx, dy), torch.atan2(dy, dx).remainder(torch.pi)
    place = angle / torch.pi * 8
    bins = torch.arange(8, dtype=torch.float32)[None, :, None, None]
    gap = (place - bins).abs()
    share = (1 - torch.minimum(gap, 8 - gap)).clamp_min(0)
    cells = functional.avg_pool2d(share * strength, 8).flatten(1)
    return (cells / cells.norm(dim=1, keepdim=True).clamp_min(1e-6)).numpy()


def _dependences(data: FaceData, *, seed: int) -> dict[str, dict[str, float]]:
    """How far the expression depends on who it is and on each attribute.

    With the same under permuted labels: what the numbers of levels alone produce.
    """
    dependences = {}
    rng = np.random.default_rng(seed)
    for name in ("subject", *data.attributes):
        column = data.table[name].astype("str")
        codes = pd.Categorical(column).codes.astype(np.int64)
        known = (codes >= 0) & (data.expression >= 0)
        a, y = codes[known], data.expression[known]
        if len(np.unique(a)) < 2 or len(np.unique(y)) < 2 or len(np.unique(a)) > len(a) / 2:
            continue
        value = _cramers_v(a, y)
        null = float(np.mean([_cramers_v(a, rng.permutation(y)) for _ in range(20)]))
        dependences[name] = {"cramers_v": value, "cramers_v_permuted": null, "faces": len(a)}
    return dependences


def _cramers_v(a: NDArray[np.int64], y: NDArray[np.int64]) -> float:
    return float(association(crosstab(a, y).count, method="cramer"))


def _problems(data: FaceData, audit: Audit) -> list[str]:
    """Findings in sentences, the grave ones first."""
    kinds = Counter(s.kind for s in audit.suspects)
    lines = [f"{kinds[kind]:,} {kind}: {KINDS[kind]}" for kind in GRAVE if kinds[kind]]
    by_split = data.table.dropna(subset=["subject", "split"]).groupby("subject")["split"].nunique()
    if (by_split > 1).any():
        lines.append(f"{(by_split > 1).sum():,} subjects are in more than one split.")
    if len(data.rejects):
        lines.append(f"{len(data.rejects):,} images or rows could not be used.")
    sizes = data.table["expression"].value_counts()
    if len(sizes) > 1 and sizes.max() >= 5 * sizes.min():
        lines.append(
            f"Classes are unbalanced: {sizes.max():,} {sizes.idxmax()}, {sizes.min():,} "
            f"{sizes.idxmin()}."
        )
    check = audit.label_check
    if check.get("skill", 1) < MIN_SKILL:
        lines.append(
            f"Labels could not be checked: the classifier's accuracy is {check['accuracy']:.2f}, "
            f"where the largest class alone gives {check['majority']:.2f}."
        )
    for name, values in audit.dependence.items():
        excess = values["cramers_v"] - values["cramers_v_permuted"]
        if excess > 0.1:
            lines.append(
                f"The expression depends on {name}: Cramer's V {values['cramers_v']:.2f}, where "
                f"chance gives {values['cramers_v_permuted']:.2f}."
            )
    lines += [
        f"The {name} alone tells {values['class']} from the other expressions: AUC "
        f"{values['class_auc']:.2f}, where chance gives 0.50."
        for name, values in audit.framing.items()
        if tells_class(values)
    ]
    lines += [
        f"{kinds[kind]:,} {kind}: {KINDS[kind]}"
        for kind in KINDS
        if kinds[kind] and kind not in GRAVE
    ]
    return lines


def framing_lines(audit: Audit) -> list[str]:
    """What each property of the framing tells, one line each."""
    lines = []
    for name, values in audit.framing.items():
        parts = []
        if "class_auc" in values:
            parts.append(f"{values['class']} {values['class_auc']:.2f}")
        if "person_auc" in values:
            parts.append(f"person {values['person_auc']:.2f}")
        lines.append(f"{name}: {', '.join(parts)}")
    return lines


# ---------------------------------------------------------------------- files


def save(audit: Audit, data: FaceData, folder: str | Path) -> Path:
    """Write an audit: audit.json, audit.html, and decisions.csv unless it exists.

    Args:
        audit: of these data.
        data: the faces, for small pictures of them.
        folder: that takes the files.

    Returns:
        Path of the page. It holds up to 60 suspects of each kind; the JSON file holds all.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "audit.json").write_text(json.dumps(audit.to_json(), indent=1), encoding="utf-8")
    decisions = folder / "decisions.csv"
    if not decisions.exists():
        rows = [(s.key, "", "", s.kind, s.detail) for s in audit.suspects]
        pd.DataFrame(rows, columns=["path", "decision", "expression", "kind", "detail"]).to_csv(
            decisions, index=False
        )
    return write_page(
        folder / "audit.html",
        f"Audit of {data.info.title or data.info.name}",
        _body(audit, data),
        lead=facts(data),
        extra_style=_STYLE,
    )


def _body(audit: Audit, data: FaceData) -> str:
    sections = []
    for kind, meaning in KINDS.items():
        suspects = [s for s in audit.suspects if s.kind == kind]
        cards = [
            {
                "uris": [_uri(data, row) for row in (s.row, *s.others[:2])],
                "keys": [s.key, *(data.keys[row] for row in s.others[:2])],
                "label": data.table["expression"].fillna("no label")[s.row],
                "detail": s.detail,
                "suggestion": s.suggestion or "",
            }
            for s in suspects[:MAX_SHOWN]
        ]
        if cards:
            sections.append((kind, meaning, len(suspects), cards))
    splits = sorted({s for row in audit.counts["by class and split"].values() for s in row})
    return render(
        _BODY,
        audit=audit,
        min_skill=MIN_SKILL,
        sections=sections,
        splits=splits,
        classes=data.classes,
        decisions=DECISIONS,
        rejects=data.rejects.head(200).to_dict("records"),
    )


def _uri(data: FaceData, row: int) -> str:
    return data_uri(picture(data.gather([row])[0], 96), quality=85)


_STYLE = """
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(11rem, 1fr)); gap: .8rem }
.card { border: 1px solid var(--line); border-radius: .5rem; padding: .5rem; font-size: .8rem }
.card img { height: 72px; width: 72px } .card .key { overflow-wrap: anywhere }
.card.chosen { border-color: var(--accent); border-width: 2px }
.bar { position: sticky; top: 0; background: var(--paper); padding: .6rem 0; z-index: 1;
  border-bottom: 1px solid var(--line) }
button, select { font: inherit; padding: .15rem .4rem }
"""

_BODY = """
{% if audit.problems %}<ul>{% for line in audit.problems %}<li>{{ line }}</li>
{% endfor %}</ul>{% else %}<p>Nothing was found.</p>{% endif %}
<h2>Faces by class and split</h2>
<div class="scroll"><table><tr><th></th>{% for s in splits %}<th>{{ s }}</th>{% endfor %}</tr>
{% for name, row in audit.counts["by class and split"].items() %}
<tr><td>{{ name }}</td>{% for s in splits %}<td>{{ "{:,}".format(row.get(s, 0)) }}</td>
{% endfor %}</tr>{% endfor %}</table></div>
{% if audit.counts["faces a subject"] %}
<p>{{ audit.counts["subjects"] }} subjects; faces a subject: at least
{{ audit.counts["faces a subject"][0] }}, median {{ audit.counts["faces a subject"][1] }}, at most
{{ audit.counts["faces a subject"][2] }}.</p>{% endif %}
{% if audit.dependence %}<h2>What the expression depends on</h2>
<div class="scroll"><table><tr><th></th><th>Cramer's V</th><th>with permuted labels</th>
<th>faces</th></tr>
{% for name, v in audit.dependence.items() %}<tr><td>{{ name }}</td>
<td>{{ "%.3f"|format(v.cramers_v) }}</td><td>{{ "%.3f"|format(v.cramers_v_permuted) }}</td>
<td>{{ "{:,}".format(v.faces) }}</td></tr>{% endfor %}</table></div>{% endif %}
{% if audit.framing %}<h2>What the framing tells</h2>
<div class="scroll"><table><tr><th></th><th>expression told best</th><th>AUC</th>
<th>same person, AUC</th><th>faces</th></tr>
{% for name, v in audit.framing.items() %}<tr><td>{{ name }}</td>
<td>{{ v["class"] if "class" in v else "" }}</td>
<td>{{ "%.2f"|format(v.class_auc) if "class_auc" in v else "" }}</td>
<td>{{ "%.2f"|format(v.person_auc) if "person_auc" in v else "" }}</td>
<td>{{ "{:,}".format(v.faces) }}</td></tr>{% endfor %}</table></div>
<p class="soft">How well each property alone tells an expression from the others, and two pictures
of one person from pictures of two; 0.50 by chance. What tells the person may be skin and hair as
well as the place.</p>{% endif %}
{% if audit.label_check %}<p class="soft">Labels were checked by a classifier on oriented gradients
with a cross-validated accuracy of {{ "%.2f"|format(audit.label_check.accuracy) }} (the largest
class alone: {{ "%.2f"|format(audit.label_check.majority) }}): the nearer both are, the less its
doubts mean.{% if audit.label_check.skill < min_skill %} They are not shown here.{% endif %}</p>
{% endif %}
{% if sections %}
<div class="bar"><button id="save" type="button">Download decisions.csv</button>
<span id="count" class="soft">0 decisions</span> <span class="soft">Then load with
decisions="decisions.csv", or prepare with --decisions.</span></div>
{% for kind, meaning, count, cards in sections %}
<h2>{{ kind }} <span class="soft">({{ "{:,}".format(count) }})</span></h2>
<p class="soft">{{ meaning }}{% if count > cards|length %} The first {{ cards|length }} are shown;
audit.json lists all.{% endif %}</p>
<div class="cards">{% for card in cards %}
<div class="card">{% for uri in card.uris %}<img src="{{ uri }}" alt="" loading="lazy">
{% endfor %}<div><b>{{ card.label }}</b>: {{ card.detail }}</div>
{% for key in card["keys"] %}<div class="choice" data-path="{{ key }}">
<div class="key soft">{{ key }}</div>
<select class="decision" aria-label="decision"><option value="">decide</option>
{% for d in decisions %}<option>{{ d }}</option>{% endfor %}</select>
<select class="expression" aria-label="expression" hidden>
{% for c in classes %}<option{% if c == card.suggestion %} selected{% endif %}>{{ c }}</option>
{% endfor %}</select></div>{% endfor %}</div>{% endfor %}</div>
{% endfor %}
<script>
const chosen = new Map();
const quote = text => '"' + text.replaceAll('"', '""') + '"';
document.querySelectorAll(".choice").forEach(choice => {
  const decision = choice.querySelector(".decision");
  const expression = choice.querySelector(".expression");
  choice.addEventListener("change", () => {
    expression.hidden = decision.value !== "relabel";
    if (decision.value) chosen.set(choice.dataset.path,
      [decision.value, decision.value === "relabel" ? expression.value : ""]);
    else chosen.delete(choice.dataset.path);
    choice.closest(".card").classList.toggle("chosen", Boolean(decision.value));
    document.getElementById("count").textContent = chosen.size + " decisions";
  });
});
document.getElementById("save").addEventListener("click", () => {
  const lines = [...chosen].map(([path, row]) => [path, ...row].map(quote).join(","));
  const text = "path,decision,expression\\n" + lines.join("\\n") + "\\n";
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  link.download = "decisions.csv";
  link.click();
});
</script>
{% endif %}
{% if rejects %}<h2>Set aside</h2><div class="scroll"><table>
<tr><th>path</th><th>where</th><th>reason</th></tr>
{% for r in rejects %}<tr><td>{{ r.path }}</td><td>{{ r.where }}</td><td>{{ r.reason }}</td></tr>
{% endfor %}</table></div>{% endif %}
"""
