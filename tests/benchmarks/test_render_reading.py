"""How a recogniser that has seen no render reads the 3-D faces, class by class.

mini-XCEPTION of the data pack (trained on FER2013), on 24 people that no recipe was tuned on:
`pytest tests/benchmarks/test_render_reading.py --benchmark-only -s`.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from torch.nn import functional

import fer_bench

PEOPLE, FACES, SEED, SIDE = 24, 14, 777, 96


def test_renders_are_read(data_pack, outside_network, benchmark):
    renders = fer_bench.load_dataset(
        "morphable", data_pack / "ict_facekit", subjects=PEOPLE, images_per_subject=FACES,
        size=SIDE, color=False, seed=SEED,
    )  # fmt: skip

    def read():
        margin = round(SIDE / 10)
        faces = torch.from_numpy(renders.gather(np.arange(len(renders)))).float()
        faces = faces[:, margin:-margin, margin:-margin, 0][:, None]
        seen = functional.interpolate(faces, (48, 48), mode="bilinear", antialias=True)
        seen = functional.interpolate(seen, (64, 64), mode="bilinear") / 255 * 2 - 1
        return outside_network(seen)

    answers = benchmark.pedantic(read, rounds=1)
    shown = pd.Series(renders.table["expression"].to_numpy(), name="shown")
    table = pd.crosstab(shown, pd.Series(answers, name="read"), normalize="index").round(2)
    print(f"\n{table.to_string()}")
    surprised = shown == "surprise"
    by_skin = (
        pd.Series(answers == shown)[surprised].groupby(renders.table["skin"][surprised]).mean()
    )
    print(f"surprise, by skin: {by_skin.round(2).to_dict()}")
    benchmark.extra_info["read as shown"] = {
        name: float(np.mean(answers[shown == name] == name)) for name in renders.classes
    }
