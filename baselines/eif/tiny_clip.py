"""A tiny CLIP, trained by this recipe on generated faces and their captions.

It exists so that EIF's mechanics (prompts, cosine retrieval, aggregation) run and can be tested
without network. It knows the attributes of generated faces and nothing of real ones. Train anew::

    python -m fer_bench.baselines.eif.tiny_clip tiny_clip.safetensors

Images and texts are pulled together by CLIP's symmetric cross-entropy, with one difference: a
text is either the whole caption or a phrase about one attribute, and every face of the batch that
it describes is a positive. With CLIP's one positive a text, most pairs of a batch that were pushed
apart would be true ones, because generated faces share few words.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional

from fer_bench.baselines.eif.encoders import ClipEncoder, standardised
from fer_bench.data.synthetic import caption, generate
from fer_bench.data.synthetic.factors import ATTRIBUTES
from fer_bench.errors import DataError, MethodError
from fer_bench.weights import load_weights

WEIGHTS = Path(__file__).with_name("tiny_clip.safetensors")

SIZE = 64
CONTEXT = 24
MODEL: dict[str, Any] = {
    "embed_dim": 64,
    "vision_cfg": {"image_size": SIZE, "layers": [1, 1, 1, 1], "width": 12, "head_width": 64},
    "text_cfg": {"context_length": CONTEXT, "width": 64, "heads": 2, "layers": 2},
}

PROMPTS = {
    "skin": {level: f"a photo of a person with {level} skin" for level in ATTRIBUTES["skin"]},
    "age": {level: f"a photo of a {level} person" for level in ATTRIBUTES["age"]},
    "gender": {level: f"a photo of a {level}" for level in ATTRIBUTES["gender"]},
}
"""What is asked about a face: the paper's three attributes, in the words of the captions."""
PROMPTS["age"]["old"] = "a photo of an old person"

# fmt: off
WORDS = (
    "a", "an", "and", "bald", "beard", "black", "blond", "brown", "curly", "dark", "fringe",
    "glasses", "gray", "hair", "head", "light", "long", "man", "medium", "middle-aged", "of",
    "old", "person", "photo", "red", "round", "short", "side-parted", "skin", "square",
    "stubble", "with", "woman", "young",
)
# fmt: on


class WordTokenizer:
    """Texts -> token ids [N, 24]: start, one id a word, end, padding of 0.

    The end has the highest id, because that is how open_clip finds it.

    >>> WordTokenizer()(["a photo of a man"])[0, :7].tolist()
    [1, 2, 25, 22, 2, 19, 36]
    """

    def __init__(self) -> None:
        self._ids = {word: i + 2 for i, word in enumerate(WORDS)}
        self.end = len(WORDS) + 2
        self.size = self.end + 1

    def __call__(self, texts: Sequence[str]) -> Tensor:
        """Tokenise.

        Raises:
            DataError: a word that no caption of generated faces holds.
        """
        rows = torch.zeros(len(texts), CONTEXT, dtype=torch.int64)
        for row, text in zip(rows, texts, strict=True):
            words = text.replace(",", "").split()
            unknown = [word for word in words if word not in self._ids]
            if unknown or len(words) > CONTEXT - 2:
                raise DataError(
                    f"the tiny CLIP cannot read {text!r}: it knows at most {CONTEXT - 2} of the "
                    f"words {', '.join(WORDS)}."
                )
            ids = [1, *(self._ids[word] for word in words), self.end]
            row[: len(ids)] = torch.tensor(ids)
        return rows


def build_tiny_clip() -> Any:
    """An untrained open_clip model of the tiny configuration."""
    import open_clip  # seconds to import

    text = MODEL["text_cfg"] | {"vocab_size": WordTokenizer().size}
    return open_clip.CLIP(**(MODEL | {"text_cfg": text}))


def load_tiny_clip(path: Path = WEIGHTS) -> tuple[Any, WordTokenizer, dict[str, dict[str, str]]]:
    """The trained model, its tokenizer, and the prompts it is asked with.

    Raises:
        MethodError: the file is missing or of another configuration.
    """
    model = build_tiny_clip()
    try:
        load_weights(model, path)
    except MethodError as error:
        raise MethodError(
            f"the tiny CLIP cannot be loaded: {error} Train it anew with "
            "python -m fer_bench.baselines.eif.tiny_clip."
        ) from None
    return model.eval(), WordTokenizer(), PROMPTS


def train_tiny_clip(
    *,
    subjects: int = 900,
    images_per_subject: int = 4,
    epochs: int = 16,
    batch_size: int = 128,
    lr: float = 2e-3,
    seed: int = 77,
    say: Any = None,
) -> Any:
    """Train on generated faces; about six minutes on one core.

    Args:
        subjects, images_per_subject: faces to draw.
        epochs, batch_size, lr: of AdamW with a cosine.
        seed: of faces and training.
        say: called with one line an epoch.
    """
    torch.manual_seed(seed)
    images, table, _ = generate(
        subjects=subjects, images_per_subject=images_per_subject, size=SIZE, seed=seed
    )
    pixels = torch.from_numpy(np.array(images)).permute(0, 3, 1, 2)
    facts = fact_codes(table)
    whole = [caption(row) for row in table.to_dict("records")]
    tokenize = WordTokenizer()
    model = build_tiny_clip().train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=0.02)
    steps = epochs * (len(pixels) // batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=steps)
    for epoch in range(epochs):
        total = 0.0
        order = torch.randperm(len(pixels))
        batches = order[: len(order) // batch_size * batch_size].view(-1, batch_size)
        for rows in batches:
            texts, claims = describe([whole[i] for i in rows.tolist()], facts[rows])
            outputs = model(varied(pixels[rows]), tokenize(texts))
            image, text, scale = outputs[:3]
            loss = matching_loss(scale * image @ text.T, matches(facts[rows], claims))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            with torch.no_grad():
                model.logit_scale.clamp_(max=np.log(100))
            total += loss.item()
        if say is not None:
            say(f"epoch {epoch + 1}/{epochs}: loss {total / len(batches):.3f}")
    return model.eval()


def fact_codes(table: pd.DataFrame) -> Tensor:
    """[N, attributes] codes into `ATTRIBUTES`; a bald head has no hair colour (-1)."""
    columns = [
        [levels.index(str(value)) for value in table[name]] for name, levels in ATTRIBUTES.items()
    ]
    codes = torch.tensor(columns).T.contiguous()
    names = list(ATTRIBUTES)
    bald = codes[:, names.index("hair_style")] == ATTRIBUTES["hair_style"].index("bald")
    codes[bald, names.index("hair")] = -1
    return codes


def describe(whole: Sequence[str], facts: Tensor) -> tuple[list[str], Tensor]:
    """For a quarter of the faces the whole caption, for the others a phrase on one attribute.

    Returns:
        The texts, and what each claims: codes [B, attributes], -1 where it says nothing.
    """
    names, asked = list(ATTRIBUTES), list(PROMPTS)
    texts, claims = list(whole), facts.clone()
    choice = torch.randint(0, len(asked) + 1, (len(texts),)).tolist()
    for i, chosen in enumerate(choice):
        if chosen == len(asked):
            continue
        column = names.index(asked[chosen])
        code = int(facts[i, column])
        texts[i] = PROMPTS[asked[chosen]][ATTRIBUTES[asked[chosen]][code]]
        claims[i] = -1
        claims[i, column] = code
    return texts, claims


def matches(facts: Tensor, claims: Tensor) -> Tensor:
    """[B, B] whether text j is true of face i."""
    return ((claims[None] == -1) | (claims[None] == facts[:, None])).all(2)


def matching_loss(logits: Tensor, match: Tensor) -> Tensor:
    """CLIP's symmetric cross-entropy with all true pairs as positives."""
    match = match.float()
    to_text = match / match.sum(1, keepdim=True)
    to_image = (match / match.sum(0, keepdim=True)).T
    return (
        functional.cross_entropy(logits, to_text) + functional.cross_entropy(logits.T, to_image)
    ) / 2


def varied(pixels: Tensor) -> Tensor:
    """What the image encoder trains on: standardised, mirrored, sometimes of lower resolution."""
    images = standardised(pixels)
    mirror = torch.rand(len(images), 1, 1, 1) < 0.5
    images = torch.where(mirror, images.flip(3), images)
    side = int(torch.tensor([32, 48, SIZE])[torch.randint(0, 3, ())])
    for size in (side, SIZE):
        if images.shape[-1] != size:
            images = functional.interpolate(
                images, size=size, mode="bicubic", antialias=True, align_corners=False
            )
    return images


def zero_shot(
    model: Any, *, subjects: int = 90, images_per_subject: int = 4, size: int = SIZE, seed: int = 78
) -> dict[str, float]:
    """Accuracy of the retrieved levels on generated people the model has not seen."""
    images, table, _ = generate(
        subjects=subjects, images_per_subject=images_per_subject, size=size, seed=seed
    )
    encoder = ClipEncoder(model, WordTokenizer(), PROMPTS)
    pixels = torch.from_numpy(np.array(images)).permute(0, 3, 1, 2).float()
    scores: dict[str, float] = {}
    for name, p in encoder.probabilities(pixels).items():
        levels = np.array(encoder.levels[name])
        scores[name] = float((levels[p.argmax(1).numpy()] == table[name].to_numpy(str)).mean())
    return scores


def save_tiny_clip(model: Any, path: str | Path, scores: Mapping[str, float]) -> None:
    """Write weights (matrices in half precision) with the accuracies in the header."""
    from safetensors.torch import save_file

    state = {
        name: (value.half() if value.ndim >= 2 else value).contiguous()
        for name, value in model.state_dict().items()
        if value.is_floating_point() and name != "attn_mask"
    }
    save_file(state, path, metadata={"zero_shot_accuracy": json.dumps(dict(scores))})


def main(path: str | Path = WEIGHTS) -> None:
    """Train, measure on unseen people, save."""
    model = train_tiny_clip(say=print)
    scores = zero_shot(model)
    print("zero-shot accuracy on unseen generated people:", scores)
    save_tiny_clip(model, path, scores)


if __name__ == "__main__":
    main(*sys.argv[1:2])
