"""One small lazy registry, fed by entry points.

Nothing is imported before it is asked for, so listing names is fast, and a broken plug-in
harms nobody but its own users.
"""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import Any

from fer_bench.errors import FerBenchError, UnknownNameError, did_you_mean

ERASED = "erased"  # a method that trains nothing and is no entry point: attackers.erased
EXTERNAL = "external"  # nor this one: embeddings that were given (evaluation.folder)


class Registry:
    """Names to objects: those of one entry-point group, plus those registered at run time.

    >>> shapes = Registry("example.shapes", kind="shape")
    >>> shapes.register("circle", object)
    >>> shapes.names()
    ['circle']
    >>> shapes.get("circel")
    Traceback (most recent call last):
    fer_bench.errors.UnknownNameError: there is no shape 'circel': did you mean 'circle'?
    """

    def __init__(self, group: str, *, kind: str) -> None:
        self.group = group
        self.kind = kind
        self._local: dict[str, Any] = {}
        self._loaded: dict[str, Any] = {}
        self._entries: dict[str, EntryPoint] | None = None

    def register(self, name: str, thing: Any) -> None:
        """Add an object in this process only (tests, notebooks)."""
        self._local[name] = thing

    def names(self) -> list[str]:
        """All known names, sorted, without importing any of them."""
        return sorted({*self._local, *self._entry_points()})

    def check(self, name: str) -> None:
        """Refuse an unknown name, without importing anything.

        Raises:
            UnknownNameError: no such name; the message says which are near.
        """
        if name not in self.names():
            raise UnknownNameError(
                f"there is no {self.kind} {name!r}: {did_you_mean(name, self.names())}"
            )

    def get(self, name: str) -> Any:
        """Import and return one object.

        Raises:
            UnknownNameError: no such name; the message says which are near.
            FerBenchError: the plug-in that registers the name cannot be imported.
        """
        self.check(name)
        for known in (self._local, self._loaded):
            if name in known:
                return known[name]
        entry = self._entry_points()[name]
        try:
            thing = entry.load()
        except FerBenchError:
            raise
        except Exception as error:
            raise FerBenchError(
                f"the {self.kind} {name!r} cannot be imported from {entry.value!r}: "
                f"{type(error).__name__}: {error}."
            ) from error
        self._loaded[name] = thing
        return thing

    def local(self) -> dict[str, Any]:
        """What was registered at run time, by name."""
        return dict(self._local)

    def origin(self, name: str) -> str:
        """The distribution that registers a name ('this process' for a local one)."""
        entry = self._entry_points().get(name)
        if entry is None:
            return "this process"
        return entry.dist.name if entry.dist is not None else "unknown"

    def _entry_points(self) -> dict[str, EntryPoint]:
        if self._entries is None:
            self._entries = {entry.name: entry for entry in entry_points(group=self.group)}
        return self._entries


methods = Registry("fer_bench.methods", kind="method")
datasets = Registry("fer_bench.datasets", kind="data set")
metrics = Registry("fer_bench.metrics", kind="metric")
estimators = Registry("fer_bench.estimators", kind="estimator")
attribute_readers = Registry("fer_bench.attribute_readers", kind="attribute reader")
