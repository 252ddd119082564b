"""Stages that several runs have in common: one of them trains a stage, the others take it over.

`Method.stage_parameters` says which parameters matter only from a stage on. Runs that differ in
those alone are in the same state when that stage begins. A result folder keeps this state as::

    stages/<digest>/<stages>-<surroundings>/
        stage.safetensors   what training has changed, and where it stands
        done.json           its checksum

The digest is of all that determines the state: data, fold, seed, budget, versions, and every other
parameter. The surroundings are threads, device, libraries, and the source of the method. The folder
may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import platform
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors.torch
import torch

from fer_bench import registry
from fer_bench.atomic import atomic_path
from fer_bench.data.cache import source_hash
from fer_bench.experiment import RunSpec
from fer_bench.method import Method
from fer_bench.registry import ERASED
from fer_bench.runs.claims import Claim
from fer_bench.runs.store import STAGE, read_sealed, seal
from fer_bench.training.checkpoint import Position, State

_POLL_S = 0.2


@dataclass(frozen=True)
class CommonState:
    """The state of a run when a stage begins, where other runs have the same.

    Attributes:
        folder: that keeps it.
        run: id of the run.
        initial: weights and buffers before the first stage.
    """

    folder: Path
    run: str
    initial: State

    def load(self) -> tuple[Position, State] | None:
        """Where training stands, and what it has changed; None if nobody has been there.

        A damaged file counts as none, and so does one of a method that began otherwise.
        """
        content = read_sealed(self.folder, STAGE)
        if content is None:
            return None
        tensors = safetensors.torch.load(content)
        said = json.loads(tensors.pop("said").numpy().tobytes())
        if not tensors.keys() <= self.initial.keys() or said["began"] != self._began(tensors):
            return None
        position = Position.from_json(said["position"])
        for stage in position.stages:
            stage.setdefault("run", said["run"])
        return position, tensors

    def save(self, position: Position, state: State) -> None:
        """Keep the state for the others."""
        changed = {k: v for k, v in state.items() if not torch.equal(v, self.initial[k])}
        said = {
            "run": self.run,
            "began": self._began(changed),
            "position": position.to_json(),
        }
        tensors = {name: value.contiguous() for name, value in changed.items()}
        tensors["said"] = torch.from_numpy(
            np.frombuffer(json.dumps(said).encode(), np.uint8).copy()
        )
        self.folder.mkdir(parents=True, exist_ok=True)
        with atomic_path(self.folder / STAGE) as aside:
            safetensors.torch.save_file(tensors, aside)
        seal(self.folder, self.folder.name)

    def _began(self, changed: Iterable[str]) -> str:
        """Hash of what the changed weights were before."""
        digest = hashlib.sha256()
        for name in sorted(changed):
            value = self.initial[name]
            digest.update(f"{name} {value.dtype} {list(value.shape)}".encode())
            digest.update(value.contiguous().numpy().tobytes())
        return digest.hexdigest()


@dataclass(frozen=True)
class SharedStages:
    """The stages that a run may have in common with others of its result folder.

    Attributes:
        root: the folder `stages` of the results.
        spec: of the run.
        on_wait: called with True when it begins to wait for another run, and with False after.
    """

    root: Path
    spec: RunSpec
    on_wait: Callable[[bool], None] = lambda waiting: None

    @contextmanager
    def before(
        self, stages: Sequence[str], done: int, initial: State, device: torch.device
    ) -> Iterator[CommonState | None]:
        """The state in which the remaining stages begin; None where no other run has the same.

        While the block lasts, no other process works on it: one that is at it is waited for.

        Args:
            stages: names of all stages.
            done: how many of them come before.
            initial: weights and buffers before the first stage.
            device: that the run is trained on.
        """
        method = registry.methods.get(self.spec.method)
        later = parameters_from(method, stages[done:])
        place = self.root / _digest(self.spec, later)
        if not later or not place.is_dir():
            yield None
            return
        name = f"{done}-{_surroundings(method, device)}"
        claim = Claim(place / f"{name}.claims")
        if not claim.acquire():
            self.on_wait(True)
            while not claim.acquire():
                time.sleep(_POLL_S)
            self.on_wait(False)
        try:
            yield CommonState(place / name, self.spec.id, initial)
        finally:
            claim.release()


def parameters_from(method: type[Method], stages: Iterable[str]) -> set[str]:
    """The parameters of a method that matter only in these stages, which are its last ones."""
    return {name for stage in stages for name in method.stage_parameters.get(stage, ())}


def first_own_stages(specs: Iterable[RunSpec]) -> dict[str, str]:
    """With which stage those runs begin that have all before it in common with an earlier one.

    Args:
        specs: runs that are to be trained, in their order.

    Returns:
        Run id -> name of the stage.
    """
    seen: set[str] = set()
    begins = {}
    for spec in specs:
        for stage, digest in _points(spec):
            if digest in seen:
                begins[spec.id] = stage
            seen.add(digest)
    return begins


def announce(root: Path, specs: Iterable[RunSpec]) -> None:
    """Make room for the stages that some runs have in common; others keep none.

    Args:
        root: the folder `stages` of the results.
        specs: runs that are to be trained.
    """
    digests = Counter(digest for spec in specs for _, digest in _points(spec))
    for digest, count in digests.items():
        if count > 1:
            (root / digest).mkdir(parents=True, exist_ok=True)


def _points(spec: RunSpec) -> Iterator[tuple[str, str]]:
    """The stages before which a run may be like others, each with the digest of its state then."""
    if spec.method == ERASED or spec.training.devices > 1:  # several devices share no stages
        return
    method = registry.methods.get(spec.method)
    stages = list(method.stage_parameters)
    for place, stage in enumerate(stages):
        yield stage, _digest(spec, parameters_from(method, stages[place:]))


def _digest(spec: RunSpec, later: set[str]) -> str:
    """Of what determines the state of a run before some parameters matter."""
    earlier = {name: value for name, value in spec.parameters.items() if name not in later}
    alike = {"parameters": earlier, "tests": {}, "test_fingerprints": {}}
    return spec.model_copy(update=alike).digest[:16]


def _surroundings(method: type[Method], device: torch.device) -> str:
    """Of what changes the last bits, and of the code."""
    facts = (
        torch.get_num_threads(),
        torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        torch.__version__,
        np.__version__,
        platform.machine(),
        torch.backends.cpu.get_cpu_capability(),
        source_hash(Path(inspect.getfile(method)).parent),
    )
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:16]
