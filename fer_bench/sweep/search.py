"""Hyper-parameter search: as many trials for every method, judged on validation people alone.

A trial is an ordinary training (`fer_bench.sweep.worker.train`) of one setting with the budget of
the experiment; its score is what also selects epochs: balanced accuracy, or mean CCC, on the
validation people of its fold. The test part is neither embedded nor scored.

Every fold has a search of its own, because the validation people of one fold are test people of
another: parameters chosen once for all folds would have seen them.

Optuna proposes the settings and keeps the trials. What it proposes depends on the trials before
and the seed alone, so a search that was killed goes on as if it had not been.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from fer_bench import registry
from fer_bench.atomic import write_text
from fer_bench.errors import ExperimentError, MissingExtraError, RunError
from fer_bench.experiment import Experiment, MethodSpec, RunSpec, TrainingSpec, training_of
from fer_bench.space import Among, Between, Range, declared
from fer_bench.sweep.executors import Options, needs_fresh_process
from fer_bench.sweep.job import Job, explain
from fer_bench.sweep.plan import folds_of, load_faces, plan, rows_of
from fer_bench.sweep.processes import Processes
from fer_bench.sweep.progress import Progress
from fer_bench.sweep.worker import train
from fer_bench.training.loop import prediction_scores
from fer_bench.validation import validate

Values = dict[str, Any]  # "training.lr" or "parameters.<name>" -> value

_DIGITS = 3  # of a proposed number: enough, and it can be read and retyped


@dataclass(frozen=True)
class Trial:
    """One setting that was tried: its score (None if it failed) and a line about it."""

    values: Values
    score: float | None
    text: str = ""


@dataclass(frozen=True)
class Study:
    """The search for one method on one fold.

    Attributes:
        entry: position in `Experiment.methods`.
        spec: the run at the experiment's own setting.
        space: what may change.
        trials: finished ones, in order; the first is the experiment's own setting.
    """

    entry: int
    spec: RunSpec
    space: Mapping[str, Range]
    trials: tuple[Trial, ...] = ()

    @property
    def best(self) -> Trial | None:
        """The trial with the highest score, the earlier of equals; None if all failed."""
        scored = [t for t in self.trials if t.score is not None]
        return max(scored, key=lambda t: t.score or 0.0, default=None)


@dataclass(frozen=True)
class Search:
    """What came of a search.

    Attributes:
        root: the folder with the stored trials.
        studies: one for each method and fold.
        file: the experiment with the chosen parameters, as `fer-bench run` takes it.
    """

    root: Path
    studies: tuple[Study, ...]
    file: Path


def search_experiment(
    experiment: Experiment,
    out: str | Path,
    *,
    trials: int = 20,
    seed: int = 0,
    options: Options = Options(),  # noqa: B008
    quiet: bool = False,
) -> Search:
    """Search the parameters of every method of an experiment and write the experiment anew.

    Args:
        experiment: what its `[[methods]]` entries state is kept; the rest of what the methods
            declare (`fer_bench.space`) is searched, with the first of the seeds. Reference rows
            and oracles are left as they are.
        out: folder of the trials; the same folder again goes on where a killed search was, and
            more trials add to those that are there.
        trials: for every method and fold, the experiment's own setting among them.
        seed: of what is proposed.
        options: how trials are executed; by default one after the other.
        quiet: no progress on the terminal.

    Raises:
        ExperimentError: nothing can be searched, there are no validation people, or the executor
            is one of other machines.
        MissingExtraError: Optuna is not installed.
        RunError: another search is at work in the folder.
    """
    if options.executor not in ("serial", "pool"):
        raise ExperimentError(
            f"a search cannot use the executor {options.executor!r}: take serial or pool."
        )
    optuna = _optuna()
    root = Path(out)
    studies = studies_of(experiment)
    root.mkdir(parents=True, exist_ok=True)
    with _alone(root):
        book = _Book(optuna, root / "trials.jsonl", seed)
        studies = [book.read(study) for study in studies]
        missing = sum(max(0, trials - len(study.trials)) for study in studies)
        with (
            Progress(missing, quiet=quiet) as progress,
            Processes(min(options.workers, len(studies)), options.limits) as processes,
        ):
            studies = _play(studies, book, trials, root, processes, options.threads, progress)
        file = root / "tuned.toml"
        _write(file, tuned(experiment, studies), header=_header(studies, trials, seed))
    return Search(root, tuple(studies), file)


def space_of(entry: MethodSpec) -> dict[str, Range]:
    """What a search may change of an entry: what its method declares and it does not state.

    An erased row trains nothing: it follows the run that it erases.
    """
    if entry.of is not None:
        return {}
    method = registry.methods.get(entry.name)
    if method.info.role != "method":
        return {}
    marked = {f"training.{name}": mark for name, mark in declared(TrainingSpec).items()}
    marked |= {f"parameters.{name}": mark for name, mark in declared(method.Config).items()}
    stated = {f"training.{name}" for name in entry.training}
    stated |= {f"parameters.{name}" for name in entry.parameters}
    return {key: mark for key, mark in marked.items() if key not in stated}


def studies_of(experiment: Experiment) -> list[Study]:
    """A study for every method and fold of an experiment, without trials.

    Raises:
        ExperimentError: nothing can be searched, or there are no validation people.
    """
    if experiment.confound is not None and len(experiment.confound.rho) > 1:
        raise ExperimentError(
            "a search is for one strength of the confound: set confound.rho to one value, such as "
            "[0.9]."
        )
    if any(training_of(experiment, e).selection == "oracle" for e in experiment.methods):
        raise ExperimentError(
            "a search judges settings on validation people: training.selection cannot be 'oracle'."
        )
    first = [entry.model_copy(update={"seeds": None}) for entry in experiment.methods]
    changes = {"methods": tuple(first), "seeds": experiment.seeds[:1], "tests": {}}
    planned = plan(experiment.model_copy(update=changes))
    specs = {(spec.label, spec.fold): spec for spec in planned.runs}
    studies = []
    for i, entry in enumerate(experiment.methods):
        space = space_of(entry)
        if not space:
            continue
        label = entry.label or registry.methods.get(entry.name).info.title
        for fold in entry.folds or experiment.split.indices:
            spec = specs.get((label, fold))
            if spec is not None:  # else the data lack what it needs
                own = _own(spec, space)
                wide = {key: _including(mark, own[key]) for key, mark in space.items()}
                studies.append(Study(i, spec, wide))
    if not studies:
        raise ExperimentError(
            "there is nothing to search: no method of this experiment declares a parameter that "
            "its entry does not state."
        )
    for study in studies:
        data = load_faces(study.spec.data)
        rows = rows_of(data, study.spec, folds_of(data, study.spec.split))
        if not len(rows.fold.validation):
            raise ExperimentError(
                f"fold {study.spec.fold} has no validation people to judge settings on: raise "
                "split.validation."
            )
    return studies


def setting(spec: RunSpec, values: Values) -> RunSpec:
    """The run of a spec with other values."""
    sections = {"parameters": dict(spec.parameters), "training": spec.training.model_dump()}
    for key, value in values.items():
        section, _, name = key.partition(".")
        sections[section][name] = value
    config = registry.methods.get(spec.method).Config
    where = f"a trial of {spec.label}"
    return spec.model_copy(
        update={
            "parameters": validate(config, sections["parameters"], where=where).model_dump(
                mode="json"
            ),
            "training": validate(TrainingSpec, sections["training"], where=where),
        }
    )


def try_out(spec: RunSpec, resume: Path) -> tuple[float | None, str]:
    """Train one setting; its score on the validation people, or None and the reason.

    The file `resume` keeps the state while it trains.
    """
    try:
        trained = train(spec, folds_of(load_faces(spec.data), spec.split), resume=resume)
        scores = prediction_scores(
            trained.session.method,
            trained.session.batcher,
            trained.rows.fold.validation,
            spec.training.batch_size,
        )
        name = "ccc" if spec.training.target == "valence_arousal" else "balanced_accuracy"
    except Exception as error:  # a setting that cannot be trained costs its own trial only
        scores, name, why = {}, "", explain(error)
    else:
        why = f"{spec.label} predicts nothing that can be judged"
    resume.unlink(missing_ok=True)
    if name not in scores:
        return None, why
    return scores[name], f"validation {name.replace('_', ' ')} {scores[name]:.3f}"


def tuned(experiment: Experiment, studies: Sequence[Study]) -> Experiment:
    """The experiment with the best values of every study; one entry per fold where folds differ."""
    methods: list[MethodSpec] = []
    for i, entry in enumerate(experiment.methods):
        own = [study for study in studies if study.entry == i]
        for study in own:
            changes: dict[str, Any] = {"folds": (study.spec.fold,)} if len(own) > 1 else {}
            for key, value in (study.best.values if study.best is not None else {}).items():
                section, _, name = key.partition(".")
                before = changes.get(section, getattr(entry, section))
                changes[section] = {**before, name: value}
            methods.append(entry.model_copy(update=changes))
        if not own:
            methods.append(entry)
    notes = (
        f"Parameters were chosen by a search of {len(studies[0].trials)} trials for every method "
        "and fold, on validation people."
    )
    return experiment.model_copy(
        update={
            "name": f"{experiment.name}-tuned",
            "notes": f"{experiment.notes} {notes}".strip(),
            "methods": tuple(methods),
        }
    )


def _play(
    studies: Sequence[Study],
    book: _Book,
    trials: int,
    root: Path,
    processes: Processes,
    threads: int,
    progress: Progress,
) -> list[Study]:
    """Try settings until every study has its trials; the trials of one study follow each other."""
    now = list(studies)
    trying: dict[int, tuple[RunSpec, Values]] = {}

    def start(i: int) -> None:
        if len(now[i].trials) < trials:
            values = book.propose(now[i])
            spec = setting(now[i].spec, values)
            trying[i] = spec, values
            arguments = {"spec": spec, "resume": _resume(root, spec)}
            fresh = needs_fresh_process(spec)
            processes.submit(i, Job(try_out, arguments, threads=threads, fresh=fresh))

    for i in range(len(now)):
        start(i)
    for i, end in processes.ends():
        spec, values = trying.pop(i)
        score, text = (None, end.error) if end.error is not None else end.value
        _resume(root, spec).unlink(missing_ok=True)
        now[i] = book.write(now[i], Trial(values, score, text))
        state = "done" if score is not None else "failed"
        number = len(now[i].trials)
        progress.finished(spec, state, f"trial {number}: {text}{_so_far(now[i])}")
        start(i)
    return now


def _resume(root: Path, spec: RunSpec) -> Path:
    """Where a trial keeps its state while it trains."""
    return root / f".{spec.id}.safetensors"


def _so_far(study: Study) -> str:
    best = study.best
    return "" if best is None else f" (best so far {best.score:.3f})"


class _Book:
    """Trials of all studies in one file of Optuna's; proposes what to try next."""

    def __init__(self, optuna: Any, path: Path, seed: int) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._optuna = optuna
        _mend(path)
        backend = optuna.storages.journal.JournalFileBackend(str(path))
        self._storage = optuna.storages.JournalStorage(backend)
        self._seed = seed

    def read(self, study: Study) -> Study:
        """The study with its stored trials."""
        trials = [
            Trial(
                dict(t.user_attrs["values"]),
                None if t.value is None else float(t.value),
                t.user_attrs["text"],
            )
            for t in self._stored(study).trials
        ]
        return replace(study, trials=tuple(trials))

    def write(self, study: Study, trial: Trial) -> Study:
        """Store one more trial."""
        self._stored(study).add_trial(self._frozen(study, trial))
        return replace(study, trials=(*study.trials, trial))

    def propose(self, study: Study) -> Values:
        """The experiment's own setting first, then what the sampler makes of the trials so far."""
        if not study.trials:
            return _own(study.spec, study.space)
        state = np.random.SeedSequence([self._seed, len(study.trials)]).generate_state(1)
        sampler = self._optuna.samplers.TPESampler(seed=int(state[0]))
        memory = self._optuna.create_study(direction="maximize", sampler=sampler)
        memory.add_trials([self._frozen(study, trial) for trial in study.trials])
        asked = memory.ask(self._distributions(study)).params
        return {key: _rounded(asked[key], study.space[key]) for key in study.space}

    def _stored(self, study: Study) -> Any:
        # Another budget, fold or data set is another study, although the folder be the same.
        spec = study.spec
        name = f"{spec.label} fold {spec.fold} {spec.digest[:10]} seed {self._seed}"
        return self._optuna.create_study(
            study_name=name, storage=self._storage, direction="maximize", load_if_exists=True
        )

    def _frozen(self, study: Study, trial: Trial) -> Any:
        state = self._optuna.trial.TrialState
        return self._optuna.trial.create_trial(
            state=state.FAIL if trial.score is None else state.COMPLETE,
            value=trial.score,
            params=trial.values,
            distributions=self._distributions(study),
            user_attrs={"values": trial.values, "text": trial.text},
        )

    def _distributions(self, study: Study) -> dict[str, Any]:
        kinds = self._optuna.distributions
        return {
            key: kinds.CategoricalDistribution(mark.values)
            if isinstance(mark, Among)
            else kinds.FloatDistribution(mark.low, mark.high, log=mark.log)
            for key, mark in study.space.items()
        }


def _mend(path: Path) -> None:
    """Drop a last line without an end, which a process leaves that is killed while it writes."""
    if not path.exists():
        return
    content = path.read_bytes()
    complete = content[: content.rfind(b"\n") + 1]
    for number, line in enumerate(complete.splitlines(), start=1):
        try:
            json.loads(line)
        except ValueError:
            raise RunError(
                f"line {number} of the stored trials {str(path)!r} is damaged: remove the file to "
                "search anew."
            ) from None
    if complete != content:
        path.write_bytes(complete)


def _own(spec: RunSpec, space: Mapping[str, Range]) -> Values:
    """The values that a spec has already."""
    sections = {"parameters": spec.parameters, "training": spec.training.model_dump()}
    return {key: sections[key.partition(".")[0]][key.partition(".")[2]] for key in space}


def _including(mark: Range, value: Any) -> Range:
    """The range, widened where the experiment's own value lies outside."""
    if isinstance(mark, Between):
        return replace(mark, low=min(mark.low, value), high=max(mark.high, value))
    return mark if value in mark.values else Among(value, *mark.values)


def _rounded(value: Any, mark: Range) -> Any:
    if isinstance(mark, Among):
        return value
    return min(mark.high, max(mark.low, float(f"{value:.{_DIGITS}g}")))


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    try:
        with FileLock(root / ".search.lock", timeout=0):
            yield
    except Timeout:
        raise RunError(f"another search is at work in {str(root)!r}: wait for it.") from None


def _optuna() -> Any:
    try:
        import optuna
        import tomli_w  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(str(error.name), "search", "a hyper-parameter search") from None
    return optuna


def _header(studies: Sequence[Study], trials: int, seed: int) -> str:
    lines = [
        f"Chosen by `fer-bench search`: {trials} trials for every method and fold, seed {seed},",
        "by the score on validation people (own setting -> chosen; both are optimistic, because",
        "the same people chose them). No test label was read.",
    ]
    for study in studies:
        first, best = study.trials[0].score, study.best
        scores = (first, best and best.score)
        said = " -> ".join("failed" if score is None else f"{score:.3f}" for score in scores)
        lines.append(f"  {study.spec.label}, fold {study.spec.fold}: {said}")
    return "".join(f"# {line}\n" for line in lines)


def _write(path: Path, experiment: Experiment, *, header: str) -> None:
    import tomli_w

    content = experiment.model_dump(mode="json", exclude_unset=True, exclude_none=True)
    methods = content.pop("methods")
    write_text(path, header + tomli_w.dumps({**content, "methods": methods}))
