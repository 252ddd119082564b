"""Where EIF gets the attributes of a face from, behind one interface.

An attribute encoder sees a face as a vector v and knows one vector t for every level of every
attribute ("woman", "man"; "young", ...). Per attribute the level with the most similar t is
retrieved (eq. 3), and [v; t_1; ...; t_A] is what EIF aggregates. In the paper v and t come from
CLIP, which has seen captions of the world; they may also be learned from the data's own columns.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, model_validator

from fer_bench.baselines.eif.encoders import AttributeEncoder, ClipEncoder, ColumnEncoder, pick
from fer_bench.errors import MethodError, did_you_mean
from fer_bench.method import Task

PAPER_LEVELS = {
    "skin": ("yellow", "white", "black"),
    "age": ("young", "middle-aged", "old"),
    "gender": ("man", "woman"),
}
"""The paper's demographic set."""

DEMOGRAPHIC = ("skin", "age", "gender", "sex", "race", "ethnicity")
"""Columns that "columns" takes by default, where the data have any of them."""

_MOST_LEVELS = 32


class AttributeConfig(BaseModel):
    """Which attributes EIF looks at, and through what; in an experiment file also just a name.

    Attributes:
        encoder: "columns" (learned from the data's attribute columns), "clip" (any open_clip
            model), "tiny-clip" (this suite's own, trained on generated faces), or "auto": columns
            where the data have any, else clip.
        names: attributes to use, in this order; by default all that the encoder knows (columns:
            the demographic ones, or all if there is none). An empty list leaves appearance alone.
        levels: for "clip", the words of each attribute; by default the paper's.
        prompt: for "clip", what a word is put into.
        model, weights: for "clip", open_clip's model name, and a tag of its weights or a file.

    >>> AttributeConfig.model_validate("tiny-clip").encoder
    'tiny-clip'
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    encoder: Literal["auto", "columns", "clip", "tiny-clip"] = "auto"
    names: tuple[str, ...] | None = None
    levels: dict[str, tuple[str, ...]] = PAPER_LEVELS
    prompt: str = "a photo of a {}"
    model: str = "ViT-B-32"
    weights: str = "openai"

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, value: Any) -> Any:
        return {"encoder": value} if isinstance(value, str) else value

    def build(self, task: Task, *, dim: int, width: int) -> AttributeEncoder:
        """The encoder for a task; `dim` and `width` are those of a learned one.

        Raises:
            MethodError: the data or the machine lack what was asked for.
        """
        kind = self.encoder
        columns = usable_columns(task)
        if kind == "auto":
            kind = "columns" if columns else "clip"
        if kind == "columns":
            return ColumnEncoder(task, self._chosen_columns(columns), dim=dim, width=width)
        if kind == "tiny-clip":
            from fer_bench.baselines.eif.tiny_clip import load_tiny_clip

            return ClipEncoder(*load_tiny_clip(), names=self.names)
        try:
            return ClipEncoder(*load_clip(self), names=self.names)
        except MethodError as error:
            if self.encoder != "auto":
                raise
            raise MethodError(
                "these data have no attribute columns, so eif turns to CLIP for attributes, and "
                f"that failed: {error} The suite's own attributes = 'tiny-clip' works offline, "
                "but knows generated faces alone."
            ) from None

    def _chosen_columns(self, columns: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        if not columns:
            raise MethodError(
                "attributes = 'columns' needs categorical attribute columns (such as gender, age, "
                "skin), and these data have none: use attributes = 'clip'."
            )
        demographic = {name: columns[name] for name in DEMOGRAPHIC if name in columns}
        return pick(demographic or columns, columns, self.names)


def load_clip(config: AttributeConfig) -> tuple[Any, Any, dict[str, dict[str, str]]]:
    """An open_clip model with its tokenizer, and the prompts of the levels.

    Raises:
        MethodError: unknown model, or weights that are neither here nor to be fetched.
    """
    import open_clip  # seconds to import

    if config.model not in open_clip.list_models():
        near = did_you_mean(config.model, open_clip.list_models())
        hint = near if near.startswith("did") else "see open_clip.list_models()."
        raise MethodError(f"open_clip has no model {config.model!r}: {hint}")
    path = Path(config.weights).expanduser()
    tags = open_clip.list_pretrained_tags_by_model(config.model)
    if config.weights not in tags and not path.is_file():
        raise MethodError(
            f"attributes.weights = {config.weights!r} is neither a file nor a tag of "
            f"{config.model!r}: {did_you_mean(config.weights, tags)}"
        )
    weights = config.weights if config.weights in tags else str(path)
    try:
        model = open_clip.create_model(config.model, pretrained=weights, load_weights=True)
    except Exception as error:  # the hub client raises a dozen kinds when there is no network
        raise MethodError(
            f"the weights {config.weights!r} of {config.model!r} cannot be loaded "
            f"({type(error).__name__}): connect the machine, or set attributes.weights to a local "
            "file that fits the model."
        ) from None
    prompts = {
        name: {word: config.prompt.format(word) for word in words}
        for name, words in config.levels.items()
    }
    return model, open_clip.get_tokenizer(config.model), prompts


def usable_columns(task: Task) -> dict[str, tuple[str, ...]]:
    """Attribute columns with two to 32 levels; `group` copies another and is left out."""
    return {
        name: levels
        for name, levels in task.attributes.items()
        if 2 <= len(levels) <= _MOST_LEVELS and name != "group"
    }
