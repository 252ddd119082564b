"""The experiment file: TOML -> validated `Experiment`; one planned training -> `RunSpec` -> id."""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from fer_bench import registry
from fer_bench.errors import ExperimentError, UnknownNameError, did_you_mean
from fer_bench.registry import ERASED
from fer_bench.space import Between
from fer_bench.validation import Location, Source, validate

Seeds = Annotated[tuple[Annotated[int, Field(ge=0, lt=2**32)], ...], Field(min_length=1)]


_MOST_RUNS = 50_000
_MOST_LEVELS = 32
_LONGEST_NAME = 100


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class DataSpec(BaseModel):
    """`[data]`: a registered data set; keys unknown here are options of its reader.

    Attributes:
        name: registered name, such as "generated", "folder", "manifest", "raf-db".
        root: its folder or file; relative to the experiment file.
        size: side of the square faces in pixels.
        color: three channels, or one.
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    name: str = "generated"
    root: str | None = None
    size: Annotated[int, Field(ge=16, le=512)] = 64
    color: bool = True

    @property
    def options(self) -> dict[str, Any]:
        """The reader's own options."""
        return dict(self.model_extra or {})


class SplitSpec(_Strict):
    """`[split]`: subject-disjoint folds, and the validation part inside each train part.

    Attributes:
        folds: number of outer folds.
        use: which of them to run (all by default).
        validation: share of the training subjects that selects epochs.
        seed: of the folds; independent of the run seeds, so that seeds are paired.
        official: take the data set's own train/test split as the only fold.
        duplicates: "error" refuses folds that are tested on a picture (or a near copy of one)
            that was learned from; "allow" goes on and says so in the report.
    """

    folds: Annotated[int, Field(ge=2, le=50)] = 5
    use: tuple[int, ...] | None = None
    validation: Annotated[float, Field(gt=0, lt=0.9)] = 0.2
    seed: int = 0
    official: bool = False
    duplicates: Literal["error", "allow"] = "error"

    @field_validator("use")
    @classmethod
    def _known_folds(cls, use: tuple[int, ...] | None, info: Any) -> tuple[int, ...] | None:
        folds = info.data.get("folds", 5)
        if use is not None and (not use or not all(0 <= fold < folds for fold in use)):
            raise ValueError(f"must name folds between 0 and {folds - 1}")
        return use

    @property
    def indices(self) -> tuple[int, ...]:
        """The folds to run."""
        if self.official:
            return (0,)
        return self.use if self.use is not None else tuple(range(self.folds))


class DecaySpec(_Strict):
    """`[training.decay]`: when the learning rate falls, where `schedule` is "step".

    The defaults are those of EIF: times 0.8 at 5,000 and then every 20,000 iterations.

    Attributes:
        factor: the learning rate is multiplied by it each time.
        first: when it falls first, counted from the start of a stage.
        every: after how long it falls again.
        unit: of both: "iterations" (optimiser steps) or "epochs".
    """

    factor: Annotated[float, Field(gt=0, lt=1)] = 0.8
    first: Annotated[int, Field(ge=1)] = 5_000
    every: Annotated[int, Field(ge=1)] = 20_000
    unit: Literal["iterations", "epochs"] = "iterations"


class TrainingSpec(_Strict):
    """`[training]`: the budget and the loop, the same for every method unless it overrides one.

    Attributes:
        epochs: the budget; each stage takes its share of it.
        steps: the budget in optimiser steps instead, where it is given; an epoch is a pass over
            the faces as before, and the last one of a stage may be cut short.
        batch_size: faces per batch (pairs per batch in pair stages), of all devices together.
        lr: learning rate of players that name none.
        schedule: of the learning rate over a stage: "cosine" (with 5 % warm-up), "constant", or
            "step" (see `decay`).
        decay: when the learning rate falls, where `schedule` is "step".
        clip: largest gradient norm per player; 0 switches clipping off.
        precision: "32", "bf16-mixed" or "16-mixed".
        augment: "none", "flip", "affine", or "rotations" (the 14 of the DICE-FER report).
        normalise: "image" (per-image whitening), "unit" ([0, 1]) or "imagenet".
        selection: which epoch is kept: the best on "validation" people, or the "last"; "oracle"
            takes the best on the test part, to show how much that flatters, and every row, table
            and page says so.
        patience: epochs without a better validation value before a stage stops; 0 never stops.
        target: "expression" or "valence_arousal".
        balanced: draw training faces so that classes are equally frequent.
        channels_last, compile: speed switches (compile: the backbones, by torch.compile); the
            numbers agree within the interval. See tests/benchmarks/test_switches_speed.py.
        device: "auto", "cpu" or "cuda".
        devices: processes that train one run, each on a device of its own; more than one for
            methods that declare `MethodInfo.data_parallel`. They learn what one does, up to
            rounding.
    """

    epochs: Annotated[int, Field(ge=1)] = 20
    steps: Annotated[int, Field(ge=1)] | None = None
    batch_size: Annotated[int, Field(ge=2)] = 64
    lr: Annotated[float, Field(gt=0), Between(1e-4, 1e-2, log=True)] = 1e-3
    schedule: Literal["cosine", "constant", "step"] = "cosine"
    decay: DecaySpec = DecaySpec()
    clip: Annotated[float, Field(ge=0)] = 5.0
    precision: Literal["32", "bf16-mixed", "16-mixed"] = "32"
    augment: Literal["none", "flip", "affine", "rotations"] = "flip"
    normalise: Literal["image", "unit", "imagenet"] = "image"
    selection: Literal["validation", "last", "oracle"] = "validation"
    patience: Annotated[int, Field(ge=0)] = 0
    target: Literal["expression", "valence_arousal"] = "expression"
    balanced: bool = False
    channels_last: bool = False
    compile: bool = False
    device: Literal["auto", "cpu", "cuda"] = "auto"
    devices: Annotated[int, Field(ge=1)] = 1


class MethodSpec(_Strict):
    """One `[[methods]]` entry.

    Attributes:
        name: registered name.
        label: the name in tables; by default the method's title. Two entries of one method
            with different parameters need different labels.
        parameters: of the method's `Config`.
        training: overrides of `[training]` for this entry.
        seeds: instead of the experiment's, where fewer are enough (oracles, reference rows).
        folds: instead of the split's, where parameters were chosen for each fold apart (entries
            of one method with different folds are one row).
        of: for "erased", the name or label of the entry whose embeddings identity is taken out of
            (see `fer_bench.attackers.erased`); it has that entry's seeds, folds and training.
    """

    name: str
    of: str | None = None
    label: str | None = None
    parameters: dict[str, Any] = Field(default_factory=dict)
    training: dict[str, Any] = Field(default_factory=dict)
    seeds: Seeds | None = None
    folds: Annotated[tuple[int, ...], Field(min_length=1)] | None = None


class TieSpec(_Strict):
    """How one run's faces are confounded; see `fer_bench.data.confound.confounded_fold`.

    Attributes:
        attribute: the categorical column that is tied to the expression.
        rho: strength of the tie in the training and validation parts.
        seed: of the draw of faces; independent of the run seeds, so that seeds are paired.
    """

    attribute: str
    rho: Annotated[float, Field(ge=0, le=1)]
    seed: int = 0


class ConfoundSpec(_Strict):
    """`[confound]`: train at several strengths of a shortcut, test without it and against it.

    Every method, seed and fold is run once for each strength. All strengths train on equally
    many faces and are tested on the same ones: "test", where the attribute says nothing of the
    expression, and "test:reversed", where it says the opposite.

    Attributes:
        attribute: the categorical column that is tied to the expression, such as "gender".
        rho: the strengths; 0 is no tie, 1 a perfect one.
        seed: of the draw of faces.
    """

    attribute: str
    rho: Annotated[tuple[Annotated[float, Field(ge=0, le=1)], ...], Field(min_length=1)] = (
        0.0,
        0.5,
        0.8,
        0.95,
        1.0,
    )
    seed: int = 0

    @field_validator("rho")
    @classmethod
    def _distinct(cls, rho: tuple[float, ...]) -> tuple[float, ...]:
        if len(set(rho)) != len(rho):
            raise ValueError("strengths must differ from each other")
        return rho

    @property
    def ties(self) -> tuple[TieSpec, ...]:
        """One tie a strength."""
        return tuple(TieSpec(attribute=self.attribute, rho=rho, seed=self.seed) for rho in self.rho)


class ScoresSpec(_Strict):
    """`[scores]`: which metrics run after training.

    Attributes:
        metrics: their names; all default ones otherwise.
        attackers: "all" adds a trained attacker, how small a leak would have been found, the photo
            link, and what an eraser would leave (minutes a run).
        face_network: file of MobileFaceNet's weights for the photo link, relative to the experiment
            file; without it the pixels stand in.
        seed: of bootstrap, permutations and probes.
    """

    metrics: tuple[str, ...] | None = None
    attackers: Literal["default", "all"] = "default"
    face_network: str | None = None
    seed: int = 0


class ReportSpec(_Strict):
    """`[report]`: the page, and what else is written for looking at.

    Attributes:
        faces: "show", "blur" or "none"; by default "show" where the terms of the data allow
            publication and "none" where not.
        title: of the page.
        tensorboard: write losses and validation figures to `<results>/tensorboard` after every
            epoch.
        answers: an attribute reader ("clip", "tiny-clip"): what it says of test faces, in per
            cent, stands on the page.
    """

    faces: Literal["show", "blur", "none"] | None = None
    title: str | None = None
    tensorboard: bool = False
    answers: str | None = None


class Experiment(_Strict):
    """A whole experiment file.

    Attributes:
        name: of the experiment and of its result folder; the file's name by default.
        notes: for the reader of the report.
        data: the faces.
        tests: further test sets by name, on which every method is tested as well.
        split: the folds.
        confound: a shortcut to train with, at several strengths.
        training: the budget, the same for every method.
        seeds: of training; every method is trained once for each.
        methods: what is compared.
        scores: what is measured.
        report: what the page shows.

    >>> Experiment(methods=[{"name": "erm"}], seeds=[0, 1]).seeds
    (0, 1)
    """

    name: str = "experiment"
    notes: str = ""
    data: DataSpec = DataSpec()
    tests: dict[str, DataSpec] = Field(default_factory=dict)
    split: SplitSpec = SplitSpec()
    confound: ConfoundSpec | None = None
    training: TrainingSpec = TrainingSpec()
    seeds: Seeds = (0,)
    methods: Annotated[tuple[MethodSpec, ...], Field(min_length=1)]
    scores: ScoresSpec = ScoresSpec()
    report: ReportSpec = ReportSpec()

    @field_validator("tests")
    @classmethod
    def _plain_names(cls, tests: dict[str, DataSpec]) -> dict[str, DataSpec]:
        for name in tests:
            if not re.fullmatch(r"[A-Za-z0-9_.-]+", name):
                raise ValueError(f"test name {name!r} may hold letters, digits, '_', '.', '-' only")
        return tests

    @field_validator("seeds")
    @classmethod
    def _distinct_seeds(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(seeds)) != len(seeds):
            raise ValueError("seeds must differ from each other")
        return seeds


def load_experiment(
    path: str | Path | None = None,
    *,
    overrides: Sequence[str] = (),
    before_imports: Callable[[], None] = lambda: None,
) -> Experiment:
    """Read and validate an experiment file; None is the embedded quickstart.

    Args:
        path: a TOML file, or the `experiment.json` of a result folder (which repeats it). Data
            roots in it are relative to its folder.
        overrides: "dotted.key=value" strings; the value is TOML, or else a plain string.
        before_imports: called once all keys are right, before the methods are imported.

    Raises:
        ExperimentError: names the file, the line, the key, and the nearest valid key.
    """
    file = Path(path) if path is not None else Path(__file__).with_name("quickstart.toml")
    try:
        text = file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ExperimentError(
            f"cannot read the experiment file {str(file)!r}: {error.strerror or error}."
        ) from None
    except UnicodeDecodeError:
        raise ExperimentError(
            f"{str(file)!r} is not UTF-8 text: if it is a TOML file, save it as UTF-8."
        ) from None
    source = Source(str(file), text, tuple(overrides))
    content = _parse(file, text)
    _check_values(content, source)
    for override in overrides:
        _apply_override(content, override)
    _check_values(content, source)
    content.setdefault("name", file.stem)
    _resolve_roots(content, file.parent, source)
    return parse_experiment(content, where=source, before_imports=before_imports)


def _parse(file: Path, text: str) -> dict[str, Any]:
    kind = "JSON" if file.suffix == ".json" else "TOML"
    try:
        content = json.loads(text) if kind == "JSON" else tomllib.loads(text)
    except (json.JSONDecodeError, tomllib.TOMLDecodeError) as error:
        raise ExperimentError(f"{file}: not valid {kind}: {error}.") from None
    except RecursionError:
        raise ExperimentError(
            f"{file}: brackets stand in brackets more than {_MOST_LEVELS} levels deep: write fewer."
        ) from None
    if not isinstance(content, dict):
        raise ExperimentError(f"{file}: holds no table of keys: write them as in {{...}}.")
    return content


def _check_values(value: Any, source: Source, at: Location = ()) -> None:
    """Refuse what no key can hold: very deep nesting, and text that no file can hold."""
    if len(at) > _MOST_LEVELS:
        raise ExperimentError(
            f"{source.place(at[:1])}: {str(at[0])!r} holds brackets in brackets more than "
            f"{_MOST_LEVELS} levels deep: write fewer."
        )
    if isinstance(value, dict):
        for key, item in value.items():
            _check_values(key, source, (*at, key))
            _check_values(item, source, (*at, key))
    elif isinstance(value, list):
        for i, item in enumerate(value):
            _check_values(item, source, (*at, i))
    elif isinstance(value, str) and re.search("[\0\ud800-\udfff]", value):
        raise ExperimentError(
            f"{source.place(at)}: {str(at[-1])!r} holds a NUL character or half of one: "
            "take it out."
        )


def parse_experiment(
    content: Mapping[str, Any],
    *,
    where: str | Source = "experiment",
    before_imports: Callable[[], None] = lambda: None,
) -> Experiment:
    """Validate a plain mapping as an experiment, with the names and parameters of its parts.

    Args:
        content: keys and values.
        where: they are from, for messages.
        before_imports: called once all keys are right, before the methods are imported.

    Raises:
        ExperimentError: one sentence per wrong key, with the key path and the nearest valid key.
        UnknownNameError: no such method, data set or metric.
    """
    source = Source(where) if isinstance(where, str) else where
    experiment = validate(Experiment, content, where=source)
    _check_name(experiment.name, source)
    _check_size(experiment, source)
    _check_names(experiment, source)
    before_imports()
    for i, method in enumerate(experiment.methods):
        training_of(experiment, method, where=source, at=("methods", i, "training"))
        resolve_method(method, i, where=source)
        _check_of(experiment, method, source, ("methods", i))
    return experiment


def _check_of(experiment: Experiment, entry: MethodSpec, source: Source, at: Location) -> None:
    """An erased row, and nothing else, names the row that it erases."""
    if entry.name != ERASED and entry.of is not None:
        raise ExperimentError(
            f"{source.place((*at, 'of'))}: 'of' belongs to the method {ERASED!r}: take it out."
        )
    if entry.name == ERASED and (entry.of is None or not encoders_of(experiment, entry)):
        known = [m.label or m.name for m in experiment.methods if m.name != ERASED]
        told = "" if entry.of is None else f" not {entry.of!r}: {did_you_mean(entry.of, known)}"
        raise ExperimentError(
            f"{source.place(at)}: the method {ERASED!r} needs 'of', the name or label of another "
            f"entry of [[methods]]{told or '.'}"
        )
    if entry.name == ERASED and (entry.seeds or entry.folds or entry.training):
        raise ExperimentError(
            f"{source.place(at)}: an erased row has the seeds, folds and training of {entry.of!r}: "
            "take them out."
        )


def encoders_of(experiment: Experiment, entry: MethodSpec) -> list[MethodSpec]:
    """The row that an erased entry names by label or name: several where each fold has its own."""
    others = [method for method in experiment.methods if method.name != ERASED]
    named = [m for m in others if entry.of == m.label] or [m for m in others if entry.of == m.name]
    return [m for m in named if (m.name, m.label) == (named[0].name, named[0].label)]


def _check_name(name: str, source: Source) -> None:
    plain = name == name.strip() and name.strip(".") and not re.search(r"[/\\\x00-\x1f\x7f]", name)
    if not plain or len(name) > _LONGEST_NAME:
        raise ExperimentError(
            f"{source.place(('name',))}: 'name' is {name[:_LONGEST_NAME]!r}: results go to a "
            f"folder of this name, so write 1 to {_LONGEST_NAME} characters without '/' and '\\'."
        )


def _check_size(experiment: Experiment, source: Source) -> None:
    """Refuse a sweep that nobody can have meant, before anything is done for each of its runs."""
    ties = len(experiment.confound.rho) if experiment.confound else 1
    runs = ties * sum(
        len(method.seeds or experiment.seeds) * len(method.folds or experiment.split.indices)
        for method in experiment.methods
    )
    if runs > _MOST_RUNS:
        raise ExperimentError(
            f"{source.place(('seeds',))}: seeds, folds and methods come to {runs:,} runs, more "
            f"than {_MOST_RUNS:,}: name fewer seeds."
        )


def _check_names(experiment: Experiment, source: Source) -> None:
    """Refuse unknown data sets and metrics, by file and line."""
    data = {("data", "name"): experiment.data.name} | {
        ("tests", test, "name"): spec.name for test, spec in experiment.tests.items()
    }
    metrics = {("scores", "metrics", i): n for i, n in enumerate(experiment.scores.metrics or ())}
    for known, named in ((registry.datasets, data), (registry.metrics, metrics)):
        for location, name in named.items():
            with _placed(source, location):
                known.check(name)


@contextmanager
def _placed(source: Source, location: Location) -> Iterator[None]:
    """An unknown name is told with its place."""
    try:
        yield
    except UnknownNameError as error:
        raise UnknownNameError(f"{source.place(location)}: {error}") from None


def training_of(
    experiment: Experiment,
    method: MethodSpec,
    *,
    where: str | Source = "methods.training",
    at: Location = (),
) -> TrainingSpec:
    """The training settings of one method: the experiment's, with the method's overrides."""
    merged = experiment.training.model_dump() | method.training
    return validate(TrainingSpec, merged, where=where, at=at)


def resolve_method(
    entry: MethodSpec, index: int = 0, *, where: str | Source = "experiment"
) -> tuple[Any, dict[str, Any]]:
    """The adapter class of a `[[methods]]` entry, and its parameters with defaults filled in.

    Raises:
        UnknownNameError: there is no such method.
        ExperimentError: a parameter is wrong.
    """
    source = Source(where) if isinstance(where, str) else where
    if entry.name == ERASED:
        from fer_bench.attackers.erased import Erased  # heavy

        method: Any = Erased
    else:
        with _placed(source, ("methods", index, "name")):
            method = registry.methods.get(entry.name)
    at = ("methods", index, "parameters")
    config = validate(method.Config, entry.parameters, where=source, at=at)
    return method, config.model_dump(mode="json")


class RunSpec(_Strict):
    """One planned training. Its id is a hash of what determines the outcome, and nothing else.

    Attributes:
        method, label, parameters: the method with every parameter resolved.
        weights: SHA-256 of every file of weights that the parameters name, by path.
        data: the data set, with the fingerprint of its content.
        tests: further test sets, likewise.
        split, fold, fold_hash: the folds and which of them.
        tie: how the fold's faces are confounded, or None.
        of: id of the run whose embeddings are erased, or None.
        training, seed: budget and randomness.
        code: versions of this package and of the one that brings the method.
    """

    method: str
    label: str
    parameters: dict[str, Any]
    weights: dict[str, str] = Field(default_factory=dict)
    data: DataSpec
    fingerprint: str
    tests: dict[str, DataSpec] = Field(default_factory=dict)
    test_fingerprints: dict[str, str] = Field(default_factory=dict)
    split: SplitSpec
    fold: int
    fold_hash: str
    tie: TieSpec | None = None
    of: str | None = None
    training: TrainingSpec
    seed: int
    code: dict[str, str]

    @property
    def id(self) -> str:
        """Readable and unique, such as "dice-fer-s0-f3-1f0c9a2b77"."""
        tied = f"-r{self.tie.rho:g}" if self.tie else ""
        return f"{self.method}{tied}-s{self.seed}-f{self.fold}-{self.digest[:10]}"

    @property
    def place(self) -> str:
        """Where the run stands in its sweep, in words.

        Seed and fold, and the strength of the tie where there is one.
        """
        tied = f" rho {self.tie.rho:g}" if self.tie else ""
        return f"seed {self.seed} fold {self.fold}{tied}"

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON of what determines the outcome.

        Where data and weights lie, what the row is called, and which device ran it, or how many,
        are left out.
        """
        content = self.model_dump(mode="json")
        for section in weight_sections(content["parameters"]):
            section["weights"] = self.weights.get(section["weights"], section["weights"])
        del content["weights"]
        del content["label"]
        content["data"].pop("root")
        for data in content["tests"].values():
            data.pop("root")
        content["split"] = {"fold_hash": self.fold_hash}
        training = content["training"]
        del training["device"], training["devices"]
        if self.training.steps is None:
            del training["steps"]
        if self.training.schedule != "step":
            del training["decay"]
        for absent in ("tie", "of"):
            if content[absent] is None:
                del content[absent]
        return hashlib.sha256(canonical_json(content).encode()).hexdigest()


def canonical_json(content: Any) -> str:
    """JSON with sorted keys and no spaces: equal content, equal text."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def written_value(text: str) -> Any:
    """What somebody wrote behind KEY=: a value of TOML where it is one, else a plain string."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text.strip()


def _apply_override(content: dict[str, Any], override: str) -> None:
    key, equals, raw = override.partition("=")
    if not equals or not key.strip():
        raise ExperimentError(f"--set {override!r}: write it as KEY=VALUE, such as seeds=[0,1].")
    try:
        value = written_value(raw)
    except RecursionError:
        raise ExperimentError(
            f"--set {key}: brackets stand in brackets more than {_MOST_LEVELS} levels deep."
        ) from None
    *parents, last = key.strip().split(".")
    place: Any = content
    for parent in parents:
        place = (
            place[_index(place, parent, override)]
            if isinstance(place, list)
            else (place.setdefault(parent, {}))
        )
        if not isinstance(place, (dict, list)):
            raise ExperimentError(f"--set {override!r}: {parent!r} is not a section.")
    if isinstance(place, list):
        place[_index(place, last, override)] = value
    else:
        place[last] = value


def _index(place: list[Any], key: str, override: str) -> int:
    if not key.isdigit() or int(key) >= len(place):
        raise ExperimentError(
            f"--set {override!r}: {key!r} is not one of the positions 0 to {len(place) - 1}."
        )
    return int(key)


def _resolve_roots(content: dict[str, Any], base: Path, source: Source) -> None:
    """Make data roots and weights absolute: relative ones are meant from the file's folder."""
    tests = content.get("tests")
    sections: list[tuple[Location, Any]] = [(("data",), content.get("data"))]
    if isinstance(tests, dict):
        sections += [(("tests", name), section) for name, section in tests.items()]
    for at, section in sections:
        if isinstance(section, dict) and isinstance(section.get("root"), str):
            section["root"] = str(_absolute(section["root"], base, source, (*at, "root")))
    scores = content.get("scores")
    if isinstance(scores, dict) and isinstance(scores.get("face_network"), str):
        at = ("scores", "face_network")
        network = _absolute(scores["face_network"], base, source, at)
        if not network.is_file():
            raise ExperimentError(
                f"{source.place(at)}: there is no file of weights {str(network)!r}: give the path, "
                "or leave face_network out and pixels stand in."
            )
        scores["face_network"] = str(network)
    methods = content.get("methods")
    for i, method in enumerate(methods if isinstance(methods, list) else ()):
        for place in weight_sections(method.get("parameters") if isinstance(method, dict) else {}):
            at = ("methods", i, "parameters", "weights")
            path = _absolute(place["weights"], base, source, at)
            if path.suffix or path.exists():  # else the tag of published weights
                place["weights"] = str(path)


def _absolute(written: str, base: Path, source: Source, at: Location) -> Path:
    try:
        path = (base / Path(written).expanduser()).resolve()
        path.exists()
    except (OSError, RuntimeError, ValueError) as error:  # too long, no such user, a loop
        reason = getattr(error, "strerror", None) or error
        raise ExperimentError(
            f"{source.place(at)}: {at[-1]} {written[:80]!r} is no path that can be read ({reason})."
        ) from None
    return path


def weight_sections(parameters: Any) -> Iterator[dict[str, Any]]:
    """Every section of a method's parameters that names weights, such as `backbone.weights`."""
    if isinstance(parameters, dict):
        if isinstance(parameters.get("weights"), str):
            yield parameters
        for value in parameters.values():
            yield from weight_sections(value)
