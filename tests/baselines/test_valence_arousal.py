"""Valence and arousal from films in their official layout to scores, figures and traces."""

import json

import numpy as np
import pytest
from PIL import Image

import fer_bench
from fer_bench.data.synthetic.generated import generate
from fer_bench.reports.figures.affect import affect_figure
from fer_bench.reports.figures.style import drawing
from fer_bench.reports.figures.traces import trace_figure

PEOPLE, FRAMES, SIZE = 16, 21, 32


FACES = {"subjects": PEOPLE, "images_per_subject": FRAMES, "nuisance": 0.1, "style": 0.2}


def films():
    """A film of each generated person: (name, faces, exact valence and arousal)."""
    images, table, _ = generate(**FACES, size=SIZE)
    for person, rows in table.groupby("subject", sort=True):
        rows = rows.sort_values("valence")  # so that something moves
        yield person, images[rows.index], rows[["valence", "arousal"]].to_numpy()


def afew_va(root):
    """Clips of stills; whole numbers from -10 to 10."""
    for number, (person, faces, affect) in enumerate(films(), start=1):
        clip = root / f"{number:03d}"
        clip.mkdir(parents=True)
        frames = {}
        for i, (face, (valence, arousal)) in enumerate(zip(faces, affect, strict=True)):
            Image.fromarray(face).save(clip / f"{i:05d}.png")
            frames[f"{i:05d}"] = {"valence": round(10 * valence), "arousal": round(10 * arousal)}
        content = {"video_id": clip.name, "actor": person, "frames": frames}
        (clip / f"{clip.name}.json").write_text(json.dumps(content))
    return {"name": "afew-va"}


def aff_wild(root):
    """Videos, and one number a line for valence and for arousal."""
    cv2 = pytest.importorskip("cv2")
    (root / "videos" / "train").mkdir(parents=True)
    for name in ("valence", "arousal"):
        (root / "annotations" / "train" / name).mkdir(parents=True)
    for number, (_, faces, affect) in enumerate(films(), start=100):
        file = root / "videos" / "train" / f"{number}.avi"
        writer = cv2.VideoWriter(str(file), cv2.VideoWriter_fourcc(*"MJPG"), 25, (SIZE, SIZE))
        for face in faces:
            writer.write(np.ascontiguousarray(face[:, :, ::-1]))
        writer.release()
        for column, name in enumerate(("valence", "arousal")):
            lines = "".join(f"{value}\n" for value in affect[:, column])
            (root / "annotations" / "train" / name / f"{number}.txt").write_text(lines)
    return {"name": "aff-wild", "every": 1}


def generated(root):
    """No film: stills, with the numbers they were drawn from."""
    return {"name": "generated", **FACES}


@pytest.mark.slow
@pytest.mark.parametrize("layout", [afew_va, aff_wild, generated])
def test_from_films_to_scores_and_traces(layout, tmp_path):
    root = tmp_path / "films"
    methods = [{"name": "erm"}, {"name": "oracle-label"}]
    if layout is afew_va:  # its stages are the same on all of them
        methods.append({"name": "eif", "parameters": {"attributes": "tiny-clip"}})
    data = layout(root) | {"size": SIZE} | ({"root": str(root)} if root.exists() else {})
    sweep = fer_bench.run(
        {
            "data": data,
            "split": {"folds": 4, "use": [0], "duplicates": "allow"},
            "training": {
                "target": "valence_arousal",
                "epochs": 10,
                "batch_size": 16,
                "lr": 0.002,
            },
            "methods": methods,
            "scores": {"metrics": ["affect"]},
        },
        tmp_path / "out",
        quiet=True,
    )
    assert (sweep.done, sweep.failed, sweep.skipped) == (len(methods), {}, {})
    for record in sweep.records():
        scores = record.outcomes()["affect"].scores
        assert {
            f"test.{key}.{side}"
            for key in ("rmse", "pcc", "ccc", "sagr")
            for side in ("valence", "arousal", "mean")
        } <= set(scores)
        test = record.arrays.test
        assert not set(test.subjects) & set(record.arrays.parts["train"].subjects)
        if record.spec.method == "oracle-label":
            assert scores["test.ccc.mean"].value == pytest.approx(1, abs=1e-6)
            assert scores["test.rmse.mean"].value == pytest.approx(0, abs=1e-6)
            continue
        assert scores["test.ccc.mean"].low > 0.1, record.spec.label
        assert scores["test.sagr.valence"].value > 0.55
        with drawing(paper=False):
            assert affect_figure(test.valence_arousal, test.target) is not None
            traces = trace_figure(test.labels, test.valence_arousal, test.target)
        if layout is generated:
            assert traces is None
        else:
            assert len(traces.axes[0].lines[1].get_ydata()) == FRAMES
