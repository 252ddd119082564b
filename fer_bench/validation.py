"""Settings that people write, checked against their model: one sentence for each wrong key."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from reprlib import Repr
from typing import Any, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError

from fer_bench.errors import ExperimentError, did_you_mean

M = TypeVar("M", bound=BaseModel)
Location = tuple[Any, ...]  # keys and positions, such as ("methods", 0, "parameters")

_MOST_SENTENCES = 10
_SEQUENCE_TYPES = ("tuple_type", "list_type")
_TABLE_TYPES = ("dict_type", "model_type", "model_attributes_type")
_repr = Repr()
_repr.maxstring = _repr.maxother = _repr.maxlong = 80


@dataclass(frozen=True)
class Source:
    """Where settings were written, so that a sentence can point there.

    Attributes:
        name: a file, or what the settings are of.
        text: of the file.
        overrides: "dotted.key=value" strings that were applied to it.

    >>> Source("e.toml", "[training]\\nepochs = 0").place(("training", "epochs"))
    'e.toml:2'
    >>> Source("e.toml", overrides=["training.epochs=0"]).place(("training", "epochs"))
    '--set training.epochs'
    """

    name: str = "experiment"
    text: str = ""
    overrides: Sequence[str] = ()

    def place(self, location: Location) -> str:
        """The override or the line that wrote the key at a location."""
        path = [str(part) for part in location]
        for override in reversed(self.overrides):
            key = override.partition("=")[0].strip()
            parts = key.split(".")
            if path and all(a == b for a, b in zip(parts, path, strict=False)):
                return f"--set {key}"
        line = _line_of(self.text, location)
        return f"{self.name}:{line}" if line else self.name


def validate(
    model: type[M], content: Mapping[str, Any], *, where: str | Source, at: Location = ()
) -> M:
    """Validate a mapping as a model.

    Args:
        model: a pydantic model.
        content: what was written.
        where: its source, or what it is of.
        at: the keys of the source under which the content stands.

    Raises:
        ExperimentError: one sentence per wrong key: place, key, what is wrong, and the fix.

    >>> from fer_bench.experiment import TrainingSpec
    >>> validate(TrainingSpec, {"epochs": True}, where="training")
    Traceback (most recent call last):
    fer_bench.errors.ExperimentError: training: 'epochs' is true, a yes or no: write a number.
    """
    source = Source(where) if isinstance(where, str) else where
    wrong = [
        _sentence(source, (*at, *location), f"is {_shown(value)}, a yes or no: write a number.")
        for location, value in _switches_for_numbers(model, dict(content))
    ]
    try:
        valid = model.model_validate(dict(content))
    except ValidationError as error:
        wrong += [_explain(model, dict(e), source, at) for e in error.errors(include_url=False)]
    if wrong:
        more = len(wrong) - _MOST_SENTENCES
        tail = [f"... and {more} more of this kind."] if more > 0 else []
        raise ExperimentError("\n".join(wrong[:_MOST_SENTENCES] + tail))
    return valid


def _sentence(source: Source, location: Location, problem: str) -> str:
    return f"{source.place(location)}: {_dotted(location)!r} {problem}"


def _dotted(location: Location) -> str:
    return "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in location).lstrip(".")


def _explain(model: type[BaseModel], error: dict[str, Any], source: Source, at: Location) -> str:
    """One sentence for one pydantic error."""
    own = tuple(p for p in error["loc"] if not str(p).startswith("function-"))
    location = (*at, *own)
    if error["type"] == "extra_forbidden":
        known = did_you_mean(str(own[-1]), _fields_at(model, own[:-1]))
        return f"{source.place(location)}: unknown key {_dotted(location)!r}: {known}"
    if error["type"] == "missing":
        return f"{source.place(location)}: the key {_dotted(location)!r} is missing."
    if not location:
        return f"{source.name}: {error['msg'].removeprefix('Value error, ')}."
    return _sentence(source, location, _problem(error, location))


def _problem(error: dict[str, Any], location: Location) -> str:
    """What is wrong with a value, and how it is written."""
    value, name = error["input"], _dotted(location)
    if error["type"] in _SEQUENCE_TYPES and isinstance(value, Mapping):
        return f"is one table: write [[{name}]] with two brackets above each of its entries."
    if error["type"] in _SEQUENCE_TYPES:
        return f"is {_shown(value)}, not a list: write {location[-1]} = {_as_list(value)}."
    if error["type"] in _TABLE_TYPES:
        return f"is {_shown(value)}, not a table: write its keys under [{name}]."
    message = error["msg"].removeprefix("Value error, ")
    return f"is {_shown(value)}: {message[0].lower()}{message[1:]}."


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else _repr.repr(value)


def _as_list(value: Any) -> str:
    """The list that somebody meant who wrote one value, or several in a string."""
    if not isinstance(value, str):
        return f"[{_shown(value)}]"
    words = [word.strip() for word in value.split(",")]
    if all(re.fullmatch(r"-?\d+(\.\d+)?", word) for word in words):
        return f"[{', '.join(words)}]"
    return json.dumps(words, ensure_ascii=False)


def _switches_for_numbers(kind: Any, value: Any, at: Location = ()) -> Iterator[tuple[Any, bool]]:
    """Where `true` or `false` stands for a number: pydantic would read 1 or 0."""
    if isinstance(value, bool):
        kinds = set(_leaves(kind))
        if kinds & {int, float} and bool not in kinds:
            yield at, value
    elif isinstance(value, list | tuple):
        for i, item in enumerate(value):
            yield from _switches_for_numbers(kind, item, (*at, i))
    elif isinstance(value, Mapping) and get_origin(kind) is dict:
        for key, item in value.items():
            yield from _switches_for_numbers(get_args(kind)[1], item, (*at, key))
    elif isinstance(value, Mapping):
        for model in _models_in(kind)[:1]:
            for key, item in value.items():
                if key in model.model_fields:
                    annotation = model.model_fields[key].annotation
                    yield from _switches_for_numbers(annotation, item, (*at, key))


def _leaves(annotation: Any) -> Iterator[Any]:
    """The plain types that an annotation is made of."""
    arguments = get_args(annotation)
    if not arguments:
        yield annotation
    for argument in arguments:
        yield from _leaves(argument)


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    leaves = list(_leaves(annotation))
    return [a for a in leaves if isinstance(a, type) and issubclass(a, BaseModel)]


def _fields_at(model: type[BaseModel], location: Sequence[Any]) -> list[str]:
    """Valid keys of the (nested) section at `location`."""
    for part in location:
        if isinstance(part, str) and part in model.model_fields:
            nested = _models_in(model.model_fields[part].annotation)
            if nested:
                model = nested[0]
    return list(model.model_fields)


_HEADER = re.compile(r"\s*\[\[?\s*([^\[\]=,]+?)\s*\]\]?\s*(#.*)?$")


def _line_of(text: str, location: Location) -> int | None:
    """Line of a key in a TOML text: looked for under the headers of its sections."""
    names = [part for part in location if isinstance(part, str)]
    if not names:
        return None
    lines = text.splitlines()
    headers = {i: m[1].strip() for i, line in enumerate(lines) if (m := _HEADER.match(line))}
    start, stop = 0, min(headers, default=len(lines))
    section, inside = "", range(len(lines))
    for part, following in zip(location, (*location[1:], None), strict=True):
        if not isinstance(part, str):
            continue
        section = f"{section}.{part}".lstrip(".")
        own = [i for i in inside if headers.get(i) == section]
        if own:
            number = following if isinstance(following, int) else 0
            start = own[min(number, len(own) - 1)]
            after = [i for i in headers if i > start]
            others = [i for i in after if not headers[i].startswith(f"{section}.")]
            stop = min(after, default=len(lines))
            inside = range(start, min(others, default=len(lines)))
    key = rf"[\"']?{re.escape(names[-1])}[\"']?\s*[=:]"
    pattern = re.compile(rf"[\s{{,]*([\w-]+\s*\.\s*)*{key}|.*[{{,]\s*{key}")
    for i in range(start, stop):
        if i not in headers and pattern.match(lines[i]):
            return i + 1
    return start + 1 if start in headers else None
