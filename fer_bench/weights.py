"""Local files of weights: told apart by their content, read without running code, fitted to a net.

Training scripts wrap the tensors in dictionaries of their own. What is taken from such a file
follows one rule at every level: averaged weights (`state_dict_ema`, `model_ema`, ...) before raw
ones (`state_dict`, `model`, `net_state`, ...), as timm does; under other names, the only entry
that holds tensors. The report names what was taken.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fer_bench.errors import MethodError

_HEADS = ("fc.", "head.", "classifier.", "last_linear.", "logits.")
_AVERAGED = (
    "state_dict_ema", "model_state_dict_ema", "ema_state_dict", "model_ema", "ema_model",
    "net_ema", "params_ema", "ema",
)  # fmt: skip
_RAW = (
    "state_dict", "model_state_dict", "model_state", "net_state_dict", "net_state", "model", "net",
    "network", "module", "params", "weights",
)  # fmt: skip
_LISTED_KEYS = 6
_LFS = b"version https://git-lfs"


@dataclass(frozen=True)
class WeightsReport:
    """What `load_weights` did.

    Attributes:
        path: the file.
        loaded: number of tensors taken.
        entry: the entry of the file that held them, such as "state_dict_ema"; empty if it was
            the file itself.
        others: entries that could have been taken instead.
        stripped: the prefix taken off every key.
        dropped: keys of the entry that were not used: classifier heads, and what is no tensor.
        adapted: keys whose tensor was changed to fit (first layer: colour to gray).
    """

    path: str
    loaded: int
    entry: str = ""
    others: tuple[str, ...] = ()
    stripped: str = ""
    dropped: tuple[str, ...] = ()
    adapted: tuple[str, ...] = ()

    def __str__(self) -> str:
        parts = [f"{self.loaded} tensors from {self.path!r}"]
        if self.entry:
            instead = f" and not {_listed(self.others)}" if self.others else ""
            parts.append(f"taken from its entry {self.entry!r}{instead}")
        if self.stripped:
            parts.append(f"prefix {self.stripped!r} taken off")
        if self.dropped:
            parts.append(f"not used: {_listed(self.dropped)}")
        if self.adapted:
            parts.append(f"colour layers summed to gray: {_listed(self.adapted)}")
        return "; ".join(parts)


@dataclass(frozen=True)
class State:
    """The tensors of a file.

    Attributes:
        tensors: by key.
        entry, others: see `WeightsReport`.
        rest: keys beside the tensors that hold something else, such as "epoch".
    """

    tensors: dict[str, Tensor]
    entry: str = ""
    others: tuple[str, ...] = ()
    rest: tuple[str, ...] = ()


def load_weights(
    module: nn.Module, path: str | Path, *, published: Callable[[str], str] | None = None
) -> WeightsReport:
    """Load a local weights file into a module: all of it, or the module stays as it is.

    Args:
        module: what is filled.
        path: of the file.
        published: what a key of the module is called in files from elsewhere. A file is read by
            these names or by the module's own, whichever it has more of.

    Raises:
        MethodError: the file cannot be read safely, keys, shapes or types do not fit, or values
            are not finite; the message lists them.
    """
    state = read_state(path)
    wanted = module.state_dict()
    prefix, own_key = _best_names(state.tensors, wanted, published)
    stripped = {key.removeprefix(prefix): value for key, value in state.tensors.items()}
    renamed = {own_key.get(key, key): value for key, value in stripped.items()}
    taken: dict[str, Tensor] = {}
    adapted, wrong = [], []
    for key, value in wanted.items():
        offered = renamed.get(key)
        if offered is None:
            if not key.endswith("num_batches_tracked"):
                wrong.append(f"{key} (absent)")
            continue
        if offered.shape != value.shape and _gray_of_colour(offered, value):
            offered = offered.sum(1, keepdim=True)
            adapted.append(key)
        reason = _misfit(offered, value)
        if reason:
            wrong.append(f"{key} ({reason})")
        taken[key] = offered
    dropped = tuple(key for key in renamed if key not in wanted)
    wrong += [f"{key} (unknown)" for key in dropped if not key.startswith(_HEADS)]
    if wrong:
        raise MethodError(
            f"the weights {str(path)!r} do not fit {type(module).__name__}: "
            f"{_listed(wrong)}; no tensor was loaded."
        )
    module.load_state_dict(taken, strict=False)
    return WeightsReport(
        str(path), len(taken), state.entry, state.others, prefix,
        (*dropped, *state.rest), tuple(adapted),
    )  # fmt: skip


def _misfit(offered: Tensor, value: Tensor) -> str:
    """Why a tensor of a file cannot stand for one of a module; empty if it can."""
    if offered.layout != torch.strided or offered.is_quantized or offered.is_meta:
        return "not a plain dense tensor"
    if offered.shape != value.shape:
        return f"{list(offered.shape)} for {list(value.shape)}"
    if not value.is_floating_point():  # counters and position ids are whole numbers by right
        return ""
    if not offered.is_floating_point():
        return f"{offered.dtype} for {value.dtype}".replace("torch.", "")
    bad = int((~offered.to(value.dtype).isfinite()).sum())
    return f"{bad} of {offered.numel()} values are NaN or infinite" if bad else ""


def read_state(path: str | Path) -> State:
    """Read the tensors of a safetensors file or a pickle-free torch file, whatever its suffix.

    Raises:
        MethodError: the file is missing, damaged, or holds no tensors.
    """
    path = Path(path)
    if not path.is_file():
        raise MethodError(f"there is no weights file {str(path)!r}: correct backbone.weights.")
    strange = _not_weights(path)
    if strange:
        raise MethodError(f"the weights file {str(path)!r} {strange}.")
    try:
        if _is_safetensors(path):
            from safetensors.torch import load_file

            content: Any = load_file(path)
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise MethodError(
            f"the weights file {str(path)!r} cannot be read without running its code "
            f"({type(error).__name__}): save a plain state dict, best as safetensors."
        ) from None
    try:
        return _tensors_of(content)
    except LookupError as error:
        raise MethodError(f"the weights file {str(path)!r} {error.args[0]}.") from None


def _tensors_of(content: Any) -> State:
    """Go down to the tensors by the rule of this module.

    Raises:
        LookupError: there are none, or several entries could be meant.
    """
    names: list[str] = []
    others: tuple[str, ...] = ()
    while isinstance(content, Mapping):
        entries = {k: v for k, v in content.items() if isinstance(v, Mapping) and _has_tensors(v)}
        known = [key for key in (*_AVERAGED, *_RAW) if key in entries]
        direct = any(isinstance(value, Tensor) for value in content.values())
        if not known and len(entries) > 1 and not direct:
            raise LookupError(
                f"holds tensors under {_listed(list(map(str, entries)))}: save the one that is "
                "meant as a state dict of its own"
            )
        if not known and (direct or not entries):
            break
        name, *rest = known or list(entries)
        names.append(str(name))
        others += tuple(map(str, rest))
        content = entries[name]
    items = content.items() if isinstance(content, Mapping) else ()
    tensors = {str(key): value for key, value in items if isinstance(value, Tensor)}
    if not tensors:
        keys = _listed([str(key) for key, _ in items]) or "none"
        raise LookupError(f"holds no state dict of tensors (its keys: {keys})")
    rest_keys = tuple(str(key) for key, value in items if not isinstance(value, Tensor))
    return State(tensors, ".".join(names), others, rest_keys)


def _has_tensors(content: Mapping[Any, Any]) -> bool:
    """Whether tensors stand in a mapping under names, at any depth (an optimizer has numbers)."""
    return any(
        isinstance(key, str)
        and (isinstance(v, Tensor) or (isinstance(v, Mapping) and _has_tensors(v)))
        for key, v in content.items()
    )


def _not_weights(path: Path) -> str:
    """What a file is that is often taken for weights, with the fix; empty if it may be weights."""
    with path.open("rb") as file:
        start = file.read(1024)
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if not start:
        return "is empty: download it again"
    if text.startswith(_LFS):
        return "is a Git LFS pointer and not the weights: fetch them with `git lfs pull`"
    if text.startswith((b"<!doctype", b"<html", b"<?xml", b"<head", b"<!--", b"<body")):
        return "is a web page and not weights: download the file itself, by its raw link"
    if text.startswith((b"{", b"[")):
        return "is JSON text and not weights: name the file that holds the tensors"
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if any(name.endswith("/constants.pkl") for name in archive.namelist()):
                return "is a TorchScript program and not weights: save its state_dict()"
    return ""


def _is_safetensors(path: Path) -> bool:
    """By content: eight bytes of length, then a JSON header that fits into the file."""
    with path.open("rb") as file:
        start = file.read(9)
    length = int.from_bytes(start[:8], "little")
    return start[8:] == b"{" and 8 + length <= path.stat().st_size


def _best_names(
    available: Mapping[str, Tensor],
    wanted: Mapping[str, Tensor],
    published: Callable[[str], str] | None,
) -> tuple[str, Mapping[str, str]]:
    """The prefix and the names (in the file -> in the module) that make most keys known."""
    namings = [{key: key for key in wanted}]
    if published is not None:
        namings.append({published(key): key for key in wanted})
    choices = [(_best_prefix(available, names), names) for names in namings]

    def known(choice: tuple[str, Mapping[str, str]]) -> int:
        prefix, names = choice
        return sum(k.startswith(prefix) and k.removeprefix(prefix) in names for k in available)

    return max(choices, key=known)


def _best_prefix(available: Iterable[str], wanted: Container[str]) -> str:
    """The leading part of the file's keys whose removal makes most of them known."""
    prefixes = {""}
    for key in available:
        parts = key.split(".")
        prefixes.update(".".join(parts[:i]) + "." for i in range(1, len(parts)))

    def known(prefix: str) -> int:
        return sum(k.startswith(prefix) and k.removeprefix(prefix) in wanted for k in available)

    return max(sorted(prefixes, key=len), key=known)


def _gray_of_colour(offered: Tensor, value: Tensor) -> bool:
    return (
        value.ndim == 4
        and offered.ndim == 4
        and value.shape[1] == 1
        and offered.shape[1] == 3
        and offered.shape[0] == value.shape[0]
        and offered.shape[2:] == value.shape[2:]
    )


def _listed(keys: tuple[str, ...] | list[str]) -> str:
    more = len(keys) - _LISTED_KEYS
    shown = ", ".join(keys[:_LISTED_KEYS])
    return shown if more <= 0 else f"{shown} and {more} more"
