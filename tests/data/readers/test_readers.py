"""Every reader on a miniature of its set, whole and broken."""

import numpy as np
import pytest
from PIL import Image

from fer_bench.cautions import has
from fer_bench.data import EXPRESSIONS, load_dataset, make_folds
from fer_bench.errors import DataError, FerBenchError
from fer_bench.registry import datasets


def labels(faces):
    return dict(zip(faces.table["path"], faces.table["expression"], strict=True))


def refuse(trees, name, reason, *, kept, **options):
    """An error that says why; set aside, everything else stays and the bad one is listed."""
    with pytest.raises(DataError, match=reason):
        trees.load(name, **options)
    faces = trees.load(name, bad_images="set-aside", **options)
    assert len(faces) == kept
    assert faces.rejects["reason"].str.contains(reason).any()
    return faces


# ------------------------------------------------------------------ RAF-DB


def test_raf_db(trees):
    trees.raf_db()
    faces = trees.load("raf-db")
    by_path = labels(faces)
    base = "basic/Image/aligned"
    assert by_path[f"{base}/train_00001_aligned.jpg"] == "surprise"
    assert by_path[f"{base}/train_00005_aligned.jpg"] == "sadness"
    assert by_path[f"{base}/test_0007_aligned.jpg"] == "neutral"
    assert faces.table["split"].value_counts().to_dict() == {"train": 5, "test": 2}
    assert faces.attributes == ("gender", "race", "age_group")
    first = faces.table.iloc[0]
    assert (first["gender"], first["race"], first["age_group"]) == (
        "female",
        "African-American",
        "4-19",
    )
    assert not faces.has_subjects
    assert "train: 5 instead of the published 12,271" in faces.info.notes
    assert trees.load("raf-db", version="original").table["path"][0].endswith("train_00001.jpg")
    assert make_folds(faces, official=True)[0].test.tolist() == [5, 6]


def test_raf_db_as_class_folders(trees):
    trees.raf_db_folders()
    faces = trees.load("raf-db")
    assert len(faces) == 14
    assert labels(faces)["DATASET/test/7/test_0007_aligned.jpg"] == "neutral"


def test_raf_db_broken(trees):
    trees.raf_db()
    file = trees.root / "basic/EmoLabel/list_patition_label.txt"
    whole = file.read_text()
    file.write_text(whole.replace("train_00002.jpg 2", "train_00002.jpg 9"))
    refuse(trees, "raf-db", "unknown code '9'", kept=6)
    file.write_text("﻿" + whole.replace("\n", "\r\n"), encoding="utf-8")
    assert len(trees.load("raf-db")) == 7
    trees.remove("basic/Image/aligned/train_00003_aligned.jpg")
    refuse(trees, "raf-db", "there is no such file", kept=6)
    with pytest.raises(DataError, match="did you mean 'aligned'"):
        trees.load("raf-db", version="alignd")
    trees.text("basic/Annotation/manual/train_00001_manu_attri.txt", "1\n2\n3\n4\n5\n0\n7\n0\n")
    refuse(trees, "raf-db", "unknown race '7'", kept=5)
    trees.remove("basic/EmoLabel")
    with pytest.raises(DataError, match="not in the set's layout"):
        trees.load("raf-db")


# ------------------------------------------------------------------ AffectNet


@pytest.mark.parametrize("header", [True, False])
def test_affectnet(trees, header):
    trees.affectnet(header=header)
    faces = trees.load("affectnet")
    assert len(faces) == 10
    by_path = labels(faces)
    for code, name in enumerate(["neutral", "happiness", "sadness", "surprise", "fear", "disgust",
                                 "anger", "contempt"]):  # fmt: skip
        assert by_path[f"Manually_Annotated_Images/{code}/training{code}.jpg"] == name
    assert "3 rows without an expression" in faces.info.notes[0]
    np.testing.assert_allclose(faces.valence_arousal[3], [0.3, -0.5], atol=1e-6)
    assert len(trees.load("affectnet", classes=EXPRESSIONS[:7])) == 8
    folds = make_folds(faces, official=True)
    assert faces.table["split"].iloc[folds[0].test].unique().tolist() == ["validation"]
    assert has(folds.cautions, "folds-validation-is-test")


def test_affectnet_crops_the_annotated_box(trees):
    trees.affectnet()
    image = Image.open(trees.root / "Manually_Annotated_Images/0/training0.jpg")
    face = image.crop((10, 12, 50, 52)).resize((24, 24), Image.Resampling.BILINEAR)
    cropped = trees.load("affectnet").gather([0])[0].astype(int)
    assert np.abs(cropped - np.asarray(face)).max() <= 1
    whole = trees.load("affectnet", crop=False).gather([0])[0].astype(int)
    assert np.abs(cropped - whole).mean() > 5


def test_affectnet_broken(trees):
    trees.affectnet()
    file = trees.root / "Manually_Annotated_file_lists/validation.csv"
    whole = file.read_text()
    file.write_text(whole.replace(",7,0.7,", ",12,0.7,"))
    faces = refuse(trees, "affectnet", "unknown code '12'", kept=9)
    assert faces.rejects["where"].tolist() == ["validation.csv line 3"]
    file.write_text(whole.replace("0.7,-0.5", "7,-0.5"))
    refuse(trees, "affectnet", "valence 7 is not in", kept=9)
    file.write_text(whole.replace("0.7,-0.5", "-2,-2"))
    assert np.isnan(trees.load("affectnet").valence_arousal[9]).all()


def test_affectnet_8(trees):
    trees.affectnet8()
    faces = trees.load("affectnet-8")
    assert faces.table["expression"].tolist()[:8] == [
        "neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger", "contempt",
    ]  # fmt: skip
    assert faces.table["split"].value_counts().to_dict() == {"train": 8, "validation": 2}
    np.testing.assert_allclose(faces.valence_arousal[4], [0.4, -0.25], atol=1e-6)
    trees.remove("train_set/annotations/3_exp.npy")
    refuse(trees, "affectnet-8", "its labels cannot be read", kept=9)
    np.save(trees.root / "train_set/annotations/3_exp.npy", np.array({"evil": 1}, dtype=object))
    refuse(trees, "affectnet-8", "its labels cannot be read", kept=9)  # no pickle is loaded


# ------------------------------------------------------------------ CK+


@pytest.mark.parametrize(("protocol", "count"), [("last", 2), ("last3", 6), ("last3+first", 8)])
def test_ck_plus(trees, protocol, count):
    trees.ck_plus()
    faces = trees.load("ck+", protocol=protocol)
    assert len(faces) == count
    by_path = labels(faces)
    base = "cohn-kanade-images"
    assert by_path[f"{base}/S005/001/S005_001_00000011.png"] == "disgust"
    assert by_path[f"{base}/S010/002/S010_002_00000005.png"] == "surprise"
    assert by_path.get(f"{base}/S010/002/S010_002_00000001.png") == (
        "neutral" if protocol == "last3+first" else None
    )
    assert faces.subjects == ("S005", "S010")
    assert "1 sequences have no label" in faces.info.notes[0]


def test_ck_plus_labels_out_of_step_by_one(trees):
    trees.ck_plus()
    trees.remove("cohn-kanade-images/S010/002/S010_002_00000005.png")
    refuse(trees, "ck+", "label is of frame S010_002_00000005, but the last frame is", kept=4)


def test_ck_plus_broken(trees):
    trees.ck_plus()
    trees.text("Emotion/S005/001/S005_001_00000011_emotion.txt", "   9.0000000e+00\n")
    refuse(trees, "ck+", "unknown code '9", kept=4)
    with pytest.raises(DataError, match="did you mean 'last' or 'last3'"):
        trees.load("ck+", protocol="last4")
    trees.remove("Emotion")
    with pytest.raises(DataError, match="not in the set's layout: expected the folder Emotion"):
        trees.load("ck+")


def test_ck48(trees):
    trees.ck48()
    faces = trees.load("ck+48")
    assert len(faces) == 21
    assert "neutral" not in faces.classes
    assert faces.subjects == ("S000", "S001", "S002")
    assert faces.table["sequence"].nunique() == 7
    for fold in make_folds(faces, n_folds=3, validation=0.5).folds:
        assert not set(faces.subject[fold.test]) & set(faces.subject[fold.train])
    trees.save("CK+48/happy/odd.png")
    refuse(trees, "ck+48", "is not named like", kept=21)


# ------------------------------------------------------------------ other posed sets


def test_oulu_casia(trees):
    trees.oulu_casia()
    faces = trees.load("oulu-casia")
    assert len(faces) == 36
    assert faces.subjects == ("P001", "P002")
    assert sorted(faces.classes) == sorted(set(EXPRESSIONS) - {"neutral", "contempt"})
    last = [p.rsplit("/", 1)[1] for p in faces.table["path"][:3]]
    assert last == ["002.jpeg", "009.jpeg", "010.jpeg"]
    by_number = [p.rsplit("/", 1)[1] for p in faces.table["path"] if "P002/anger" in p]
    assert by_number == ["2.jpeg", "9.jpeg", "10.jpeg"]
    with_neutral = trees.load("oulu-casia", protocol="last3+first", camera="NI")
    assert len(with_neutral) == 48
    assert "neutral" in with_neutral.classes
    with pytest.raises(DataError, match="is missing"):
        trees.load("oulu-casia", camera="NI", light="Weak")
    trees.save("Oulu_CASIA_NIR_VIS/VL/Strong/P001/Smirk/000.jpeg")
    refuse(trees, "oulu-casia", "unknown expression 'Smirk'", kept=36)


def test_jaffe(trees):
    trees.jaffe()
    faces = trees.load("jaffe")
    assert len(faces) == 14
    assert faces.subjects == ("KA", "NA")  # NA is a person, not a missing value
    assert labels(faces)["KA.AN1.39.tiff"] == "anger"
    trees.save("KA.XX1.50.tiff")
    refuse(trees, "jaffe", "is not named like KA.AN1.39.tiff", kept=14)


def test_kdef(trees):
    trees.kdef()
    faces = trees.load("kdef")
    assert len(faces) == 63
    assert faces.subjects == ("F01", "M01")  # sessions are one person, sexes are two
    assert labels(faces)["AF01/AF01AFS.JPG"] == "fear"
    assert faces.attributes == ("gender", "angle", "session")
    assert len(trees.load("kdef", where={"angle": "straight"})) == 21
    trees.save("AF01/AF01ANSS.JPG", format="JPEG")
    refuse(trees, "kdef", "is not named like AF01ANS.JPG", kept=63)


# ------------------------------------------------------------------ FER2013 and FERPlus


@pytest.mark.parametrize(
    "header", ["emotion,pixels,Usage", "emotion, Usage, pixels", " emotion,pixels, Usage"]
)
def test_fer2013(trees, header):
    trees.fer2013(header)
    faces = trees.load("fer2013", size=48, color=False)
    assert faces.table["expression"].tolist()[:7] == [
        "anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral",
    ]  # fmt: skip
    assert faces.table["split"].tolist() == ["train"] * 5 + ["validation"] * 2 + ["test"] * 2
    column = [name.strip() for name in header.split(",")].index("pixels")
    line = (trees.root / "fer2013.csv").read_text().splitlines()[4].split(",")[column]
    np.testing.assert_array_equal(faces.images[3].ravel(), np.array(line.split(), np.uint8))
    assert faces.keys[3] == "fer2013.csv#3"


def test_fer2013_variants(trees):
    trees.fer2013()
    whole = (trees.root / "fer2013.csv").read_text().splitlines()
    trees.remove("fer2013.csv")
    trees.text("train.csv", "\n".join(line.rsplit(",", 1)[0] for line in whole))
    trees.text("test.csv", "\n".join(line.split(",")[1] for line in whole[:4]))
    faces = trees.load("fer2013")
    assert faces.table["split"].value_counts().to_dict() == {"train": 9, "test": 3}
    assert faces.table["expression"].isna().sum() == 3  # the released test part has no labels
    trees.remove("train.csv")
    trees.remove("test.csv")
    trees.save("train/angry/1.jpg", size=(48, 48))
    trees.save("test/happy/2.jpg", size=(48, 48))
    assert trees.load("fer2013").classes == ("happiness", "anger")


def test_fer2013_broken(trees):
    trees.fer2013()
    file = trees.root / "fer2013.csv"
    lines = file.read_text().splitlines()
    good = "\n".join(lines)

    def with_line(line):
        file.write_text(good + "\n" + line + "\n")

    with_line(f"7,{trees.pixels()},Training")
    faces = refuse(trees, "fer2013", "unknown code '7'", kept=9)
    assert faces.rejects["where"].tolist() == ["fer2013.csv line 11"]
    with_line("3,1 2 3,Training")
    refuse(trees, "fer2013", "has 3 pixels instead of 2304", kept=9)
    with_line(f"3,{trees.pixels().rsplit(' ', 1)[0]} 256,Training")
    refuse(trees, "fer2013", "pixels outside 0 to 255", kept=9)
    with_line(f"3,{trees.pixels().rsplit(' ', 1)[0]} x,Training")
    refuse(trees, "fer2013", "its pixels are no numbers", kept=9)
    with_line(f"3,{trees.pixels()},Trainig")
    refuse(trees, "fer2013", "unknown split", kept=9)
    file.write_text("\n".join(lines[1:]))
    with pytest.raises(DataError, match="no column 'pixels'"):
        trees.load("fer2013")


def test_ferplus(trees):
    trees.ferplus()
    faces = trees.load("ferplus")
    assert labels(faces) == {
        "fer2013.csv#0": "neutral",
        "fer2013.csv#1": "happiness",
        "fer2013.csv#7": "contempt",
        "fer2013.csv#8": "fear",
    }
    assert "5 images without an agreed expression" in faces.info.notes[0]
    plural = trees.load("ferplus", target="distribution")
    assert labels(plural)["fer2013.csv#2"] == "surprise"
    np.testing.assert_allclose(
        plural.table.set_index("path")
        .loc["fer2013.csv#2"][["vote_surprise", "vote_sadness", "vote_anger", "vote_fear"]]
        .astype(float),
        [0.4, 0.3, 0.3, 0],
    )
    assert faces.attributes == ()
    original = trees.load("fer2013", size=24)
    np.testing.assert_array_equal(faces.images[2], original.images[7])


def test_ferplus_out_of_step_by_one(trees):
    trees.ferplus()
    file = trees.root / "fer2013new.csv"
    lines = file.read_text().splitlines()
    file.write_text("\n".join([lines[0], *lines[2:]]) + "\n")
    with pytest.raises(DataError, match="8 rows but fer2013.csv has 9"):
        trees.load("ferplus")
    file.write_text("\n".join([lines[0], *lines[2:], lines[1]]) + "\n")
    with pytest.raises(DataError, match="line 6 says 'PublicTest' .* out of step"):
        trees.load("ferplus")


# ------------------------------------------------------------------ video


@pytest.mark.parametrize("parts", [False, True])
def test_afew_va(trees, parts):
    trees.afew_va(parts=parts)
    faces = trees.load("afew-va")
    assert len(faces) == 12
    assert faces.subjects == ("ann", "jim")  # the actor, not the clip
    assert faces.classes == ()
    np.testing.assert_allclose(faces.valence_arousal[0], [-0.2, 1.0], atol=1e-6)
    assert len(trees.load("afew-va", every=2)) == 6
    whole = trees.load("afew-va", crop=False)
    assert whole.fingerprint != faces.fingerprint


def test_afew_va_frames_out_of_step(trees):
    trees.afew_va()
    (trees.root / "001/00003.png").rename(trees.root / "001/00004.png")
    faces = refuse(trees, "afew-va", "there is no label of frame 00004", kept=11)
    assert sorted(faces.rejects["path"]) == ["001/00003.png", "001/00004.png"]
    (trees.root / "001/00004.png").rename(trees.root / "001/00003.png")
    trees.text("002/002.json", "{")
    refuse(trees, "afew-va", "cannot be read", kept=8)


def test_aff_wild(trees):
    trees.aff_wild()
    faces = trees.load("aff-wild", every=5)
    assert faces.table["path"].tolist()[:3] == [f"videos/train/105.avi#{n}" for n in (0, 5, 10)]
    assert len(faces) == 10
    assert faces.info.subjects == "proxy"
    np.testing.assert_allclose(faces.valence_arousal[:3, 0], [0, 0.05, 0.1], atol=1e-6)
    # The picture is that of the frame whose label it carries.
    for video in (faces.images[:5], faces.images[5:]):
        assert np.abs(video.mean((1, 2, 3)) - 10 * np.array([0, 5, 10, 15, 20])).max() < 6


def test_aff_wild_labels_out_of_step_by_one(trees):
    trees.aff_wild()
    file = trees.root / "annotations/train/valence/105.txt"
    lines = file.read_text().splitlines()
    file.write_text("\n".join(lines[:-1]))
    refuse(trees, "aff-wild", "has 23 valence but 24 arousal", kept=3)
    (trees.root / "annotations/train/arousal/105.txt").write_text("\n".join(lines[:-1]))
    refuse(trees, "aff-wild", "has 24 frames but 23 labels", kept=6)


def test_aff_wild2(trees):
    trees.aff_wild2()
    faces = trees.load("aff-wild2")
    by_path = labels(faces)
    assert by_path == {
        f"cropped_aligned/{video}/{frame:05d}.jpg": name
        for video in ("1-30", "8_left")
        for frame, name in ((1, "neutral"), (4, "fear"), (5, "happiness"))
    }
    assert faces.subjects == ("1-30", "8_left")
    assert [n.split(" ", 1)[1] for n in faces.info.notes] == [
        "labels of frames without a face are left out",
        "frames without a valid label are left out",
        "frames labelled other are left out",
    ]
    va = trees.load("aff-wild2", task="va")
    assert len(va) == 8
    assert va.classes == ()
    np.testing.assert_allclose(va.valence_arousal[1], [1, 1])


def test_aff_wild2_frames_out_of_step(trees):
    trees.aff_wild2()
    trees.save("cropped_aligned/1-30/00007.jpg")
    faces = refuse(trees, "aff-wild2", "there is no label of frame 7", kept=6)
    assert faces.rejects["path"].tolist() == ["cropped_aligned/1-30/00007.jpg"]
    file = trees.root / "EXPR_Recognition_Challenge/Train_Set/1-30.txt"
    file.write_text(file.read_text().replace("\n3\n", "\n9\n"))
    trees.remove("cropped_aligned/1-30/00007.jpg")
    refuse(trees, "aff-wild2", "unknown code '9'", kept=5)
    (trees.root / "EXPR_Recognition_Challenge").rename(trees.root / "EXPR_Classification_Challenge")
    assert len(trees.load("aff-wild2", bad_images="set-aside")) == 5


# ------------------------------------------------------------------ Hugging Face


def test_hugging_face(trees):
    hf = pytest.importorskip("datasets")
    files = [str(trees.save(f"images/{i}.png")) for i in range(4)]
    label = hf.ClassLabel(names=["sad", "happy"])
    features = hf.Features({"image": hf.Image(), "label": label, "who": hf.Value("string")})
    part = hf.Dataset.from_dict(
        {"image": files, "label": [0, 1, 0, 1], "who": list("abab")}, features=features
    )
    hf.DatasetDict({"train": part, "test": part.select([0])}).save_to_disk(str(trees.root / "hf"))
    trees.root = trees.root / "hf"
    faces = trees.load("huggingface", columns={"subject": "who"})
    assert faces.table["expression"].tolist() == ["sadness", "happiness"] * 2 + ["sadness"]
    assert faces.subjects == ("a", "b")
    assert faces.table["split"].tolist() == ["train"] * 4 + ["test"]
    assert faces.keys[4] == "test#0"
    with pytest.raises(DataError, match="did you mean 'label'"):
        trees.load("huggingface", expression="labels")


# ------------------------------------------------------------------ all of them


@pytest.mark.parametrize(
    ("name", "make", "path"),
    [
        ("ck+", "ck_plus", "cohn-kanade-images/S005/001/copy.jfif"),
        ("ck+48", "ck48", "CK+48/anger/copy.jpe"),
        ("oulu-casia", "oulu_casia", "Oulu_CASIA_NIR_VIS/VL/Strong/P001/Anger/copy.heic"),
        ("aff-wild2", "aff_wild2", "cropped_aligned/1-30/copy.png"),
        ("jaffe", "jaffe", "copy.webp"),
        ("kdef", "kdef", "AF01/copy.avif"),
        ("raf-db", "raf_db_folders", "DATASET/train/copy.tga"),
        ("affectnet-8", "affectnet8", "train_set/images/copy.bmp"),
        ("afew-va", "afew_va", "001/copy.bmp"),
    ],
)
def test_a_picture_that_no_rule_takes_is_listed(trees, name, make, path):
    getattr(trees, make)()
    trees.save("x.png")
    (trees.root / "x.png").rename(trees.root / path)
    assert path in set(trees.load(name, bad_images="set-aside").rejects["path"])


@pytest.mark.parametrize("name", datasets.names())
def test_every_data_set_states_its_terms(name):
    reader = datasets.get(name)
    assert reader.info.name == name
    assert reader.info.title
    assert reader.info.terms.endswith(".")
    assert reader.info.protocol
    own = name in ("folder", "manifest", "huggingface")  # somebody's own images
    assert reader.info.citation or own or reader.info.subjects == "generated"
    assert all(isinstance(option, str) for option in reader.options())


@pytest.mark.parametrize("name", sorted(set(datasets.names()) - {"folder", "generated"}))
def test_an_empty_folder_is_a_clear_error(name, tmp_path):
    reader = datasets.get(name)
    if not hasattr(reader, "read"):
        pytest.skip("makes its faces")
    with pytest.raises(FerBenchError) as caught:  # or the extra that a reader needs is missing
        load_dataset(name, tmp_path)
    assert "\n" not in str(caught.value)
