import os
import threading
import unicodedata

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fer_bench import registry
from fer_bench.data import FaceData, load_dataset, progress
from fer_bench.errors import DataError, UnknownNameError


@pytest.fixture
def tree(pictures):
    """Two classes of four good pictures: happy/0.png ... sad/3.png."""
    for name in ("happy", "sad"):
        for i in range(4):
            pictures.save(f"{name}/{i}.png")
    return pictures


def load(pictures, **options):
    return load_dataset("folder", pictures.root, size=16, **options)


# ------------------------------------------------------------------ the good way


def test_a_folder_is_decoded_once_and_mapped_ever_after(tree, tmp_path):
    first = load(tree, cache=tmp_path / "cache")
    assert first.classes == ("happiness", "sadness")
    assert isinstance(first.images, np.memmap)
    stamp = [p.stat().st_mtime_ns for p in sorted((tmp_path / "cache").rglob("images.npy"))]
    again = load(tree, cache=tmp_path / "cache")
    assert again.fingerprint == first.fingerprint
    assert stamp == [p.stat().st_mtime_ns for p in sorted((tmp_path / "cache").rglob("images.npy"))]
    expected = np.asarray(
        Image.open(tree.root / "happy/0.png").resize((16, 16), Image.Resampling.BILINEAR)
    )
    np.testing.assert_array_equal(first.gather([0])[0], expected)


def test_changed_labels_do_not_decode_again_and_a_cleaned_cache_is_refilled(images, tmp_path):
    cache = tmp_path / "cache"
    first = manifest(images, HEADER + ROWS, cache=cache)
    pixels = {p: p.stat().st_mtime_ns for p in cache.rglob("images.npy")}
    second = manifest(images, (HEADER + ROWS).replace("happy", "angry"), cache=cache)
    assert second.classes == ("sadness", "anger")
    assert second.fingerprint != first.fingerprint
    assert {p: p.stat().st_mtime_ns for p in cache.rglob("images.npy")} == pixels
    for file in pixels:
        file.unlink()
        file.parent.rename(file.parent.with_name("gone"))
    again = manifest(images, HEADER + ROWS, cache=cache)
    assert again.fingerprint == first.fingerprint


def test_a_cache_inside_the_set_does_not_disturb(tree):
    cache = tree.root / "cache"
    one = load(tree, cache=cache)
    count = len(list(cache.rglob("info.json")))
    assert load(tree, cache=cache).fingerprint == one.fingerprint
    assert len(list(cache.rglob("info.json"))) == count == 1


def test_a_changed_picture_is_decoded_again(tree):
    before = load(tree)
    tree.save("sad/3.png")
    after = load(tree)
    assert before.fingerprint != after.fingerprint
    np.testing.assert_array_equal(before.images[:7], after.images[:7])


def test_the_same_set_elsewhere_has_the_same_fingerprint(tree, tmp_path):
    here = load(tree)
    os.rename(tree.root, tmp_path / "moved")
    tree.root = tmp_path / "moved"
    assert load(tree).fingerprint == here.fingerprint
    assert load(tree, color=False).fingerprint != here.fingerprint


def test_the_fingerprint_is_that_of_pixels_and_table(tree):
    faces = load(tree)
    again = FaceData(faces.images, faces.table)
    assert faces.fingerprint == again.fingerprint


def test_processes_that_load_at_once_do_not_spoil_each_other(tree):
    loaded, threads = [], []
    for _ in range(6):
        threads.append(threading.Thread(target=lambda: loaded.append(load(tree).fingerprint)))
        threads[-1].start()
    for thread in threads:
        thread.join()
    assert len(loaded) == 6
    assert len(set(loaded)) == 1


def test_nothing_half_written_stays_behind(tree, tmp_path):
    tree.text("sad/broken.png", "no picture")
    with pytest.raises(DataError, match=r"sad/broken\.png"):
        load(tree, cache=tmp_path / "cache")
    assert [p.name for p in (tmp_path / "cache" / "folder").iterdir() if p.is_dir()] == []


def test_gray_and_fit(pictures):
    wide = np.zeros((40, 80, 3), np.uint8)
    wide[:, 20:60] = 255  # the central square is white
    (pictures.root / "anger").mkdir(parents=True)
    Image.fromarray(wide).save(pictures.root / "anger/wide.png")
    assert load(pictures, color=False).images.shape == (1, 16, 16, 1)
    assert load(pictures, fit="crop").images.min() > 200
    assert load(pictures, fit="pad").images[0, 0].max() == 0
    assert 0.4 < (load(pictures, fit="stretch").images > 127).mean() < 0.6


def test_unknown_names_and_options_name_the_nearest(tree):
    with pytest.raises(UnknownNameError, match="did you mean 'folder'"):
        load_dataset("foldr", tree.root)
    with pytest.raises(DataError, match="did you mean 'subject'"):
        load(tree, subjct="x")
    with pytest.raises(DataError, match="did you mean 'bad_images'"):
        load(tree, bad_image="set-aside")
    with pytest.raises(DataError, match="did you mean 'crop'"):
        load(tree, fit="cropp")
    with pytest.raises(DataError, match="bad_images"):
        load(tree, bad_images="ignore")
    with pytest.raises(DataError, match="whole number of pixels"):
        load_dataset("folder", tree.root, size=0)
    with pytest.raises(DataError, match="needs a root"):
        load_dataset("folder")
    with pytest.raises(DataError, match="there is no"):
        load_dataset("folder", tree.root / "absent")


def test_classes_splits_and_attributes_can_be_chosen(data_pack):
    root = data_pack / "cmu_faces"
    faces = load_dataset("cmu-faces", root, size=16, where={"pose": "forward", "eyewear": "eyes"})
    assert len(faces) == 78
    two = load_dataset("cmu-faces", root, size=16, classes=["happiness", "anger"])
    assert two.classes == ("happiness", "anger")
    assert two.info.notes == ()


def test_the_real_sets_have_their_published_counts(data_pack, monkeypatch):
    monkeypatch.setenv("FER_BENCH_DATA", str(data_pack))
    london, cmu = load_dataset("london"), load_dataset("cmu-faces", color=False)
    assert (len(london), len(london.subjects), london.info.notes) == (204, 102, ())
    assert (len(cmu), len(cmu.subjects), cmu.info.notes) == (624, 20, ())
    assert london.attributes == ("gender", "ethnicity")
    assert cmu.attributes == ("pose", "eyewear")
    assert np.isnan(london.table["age"]).sum() == 4
    raw = load_dataset("london", version="raw_256", size=128)
    assert raw.fingerprint != london.fingerprint
    assert "left_eye_x" in raw.table
    with pytest.raises(DataError, match="did you mean 'raw_256'"):
        load_dataset("london", version="raw_265")


# ------------------------------------------------------------------ bad pictures


def rejected(pictures, path, reason):
    """One bad picture: an error that names it, or one entry in the list; nothing else is lost."""
    with pytest.raises(DataError, match=reason) as caught:
        load(pictures)
    assert path in str(caught.value)
    assert "set-aside" in str(caught.value)
    faces = load(pictures, bad_images="set-aside")
    assert len(faces) == 8
    assert faces.rejects["path"].tolist() == [path]
    assert reason in faces.rejects["reason"][0]
    assert faces.info.notes == ("1 images or rows were set aside",)
    assert len(load(pictures, bad_images="set-aside").rejects) == 1  # from the cache, too


def test_truncated_jpeg(tree):
    whole = tree.save("sad/t.jpg", size=(200, 200)).read_bytes()
    (tree.root / "sad/t.jpg").write_bytes(whole[: len(whole) // 2])
    rejected(tree, "sad/t.jpg", "cannot be decoded")


def test_zero_bytes(tree):
    (tree.root / "sad/zero.png").touch()
    rejected(tree, "sad/zero.png", "is empty")


def test_text_named_png(tree):
    tree.text("sad/text.png", "hello")
    rejected(tree, "sad/text.png", "cannot be decoded")


def test_one_pixel(tree):
    tree.save("sad/dot.png", size=(1, 1))
    rejected(tree, "sad/dot.png", "is only 1x1 pixels")


def test_animated_gif(tree):
    frames = [Image.fromarray(tree.array()) for _ in range(3)]
    frames[0].save(tree.root / "sad/moving.gif", save_all=True, append_images=frames[1:])
    rejected(tree, "sad/moving.gif", "has 3 frames")


def test_decompression_bomb_is_refused_from_its_header(tree):
    # A bilevel PNG of 20,000 x 20,000 takes 50 kB on disk and 400 MB decoded.
    Image.new("1", (20_000, 20_000)).save(tree.root / "sad/bomb.png")
    rejected(tree, "sad/bomb.png", "larger than 100,000,000 pixels")


def test_symlink_out_of_the_root(tree, tmp_path):
    outside = tmp_path / "outside.png"
    Image.fromarray(tree.array()).save(outside)
    (tree.root / "sad/link.png").symlink_to(outside)
    rejected(tree, "sad/link.png", "leads outside the root")
    (tree.root / "sad/link.png").unlink()
    (tree.root / "sad/inside.png").symlink_to(tree.root / "happy/0.png")
    assert len(load(tree)) == 9


def test_folder_of_no_class(tree):
    tree.save("hapy/1.png")
    rejected(tree, "hapy/1.png", "did you mean 'happy'")


def test_every_picture_bad(pictures):
    pictures.text("sad/a.png", "x")
    with pytest.raises(DataError, match="none of 1 images can be read"):
        load(pictures, bad_images="set-aside")
    (pictures.root / "sad/a.png").unlink()
    with pytest.raises(DataError, match="holds no image"):
        load(pictures)


# ------------------------------------------------------------------ odd but good pictures


def one(pictures, name):
    """The single picture of the class folder as [16, 16, 3] ints."""
    faces = load(pictures)
    row = faces.table["path"].tolist().index(name)
    return faces.gather([row])[0].astype(int)


def test_png_named_jpg(tree):
    Image.fromarray(tree.array()).save(tree.root / "sad/liar.jpg", format="PNG")
    assert len(load(tree)) == 9


def test_sixteen_bit_is_scaled_not_clipped(pictures):
    ramp = np.linspace(0, 65535, 40 * 40).reshape(40, 40).astype(np.uint16)
    (pictures.root / "fear").mkdir(parents=True)
    Image.fromarray(ramp).save(pictures.root / "fear/deep.png")
    values = one(pictures, "fear/deep.png")
    assert values.max() > 240
    assert 120 < values.mean() < 135


def test_cmyk_and_palette_keep_their_colours(pictures):
    red = Image.new("RGB", (40, 40), (220, 30, 30))
    (pictures.root / "fear").mkdir(parents=True)
    red.convert("CMYK").save(pictures.root / "fear/print.jpg")
    red.convert("P").save(pictures.root / "fear/palette.png")
    for name in ("print.jpg", "palette.png"):
        mean = one(pictures, f"fear/{name}").mean((0, 1))
        assert np.abs(mean - [220, 30, 30]).max() < 30


def test_alpha_is_laid_on_white(pictures):
    (pictures.root / "fear").mkdir(parents=True)
    Image.new("RGBA", (40, 40), (255, 0, 0, 0)).save(pictures.root / "fear/glass.png")
    assert one(pictures, "fear/glass.png").min() == 255


def test_exif_rotation_is_applied(pictures):
    upright = np.zeros((40, 40, 3), np.uint8)
    upright[:20] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying on its side; to be shown turned by 90 degrees clockwise
    (pictures.root / "fear").mkdir(parents=True)
    lying = Image.fromarray(np.rot90(upright).copy())
    lying.save(pictures.root / "fear/phone.jpg", exif=exif, quality=95)
    values = one(pictures, "fear/phone.jpg")
    assert values[:6].mean() > 240
    assert values[-6:].mean() < 15


def test_names_with_spaces_unicode_and_new_lines(pictures):
    names = ["a b.png", "ünï-笑.png", "two\nlines.png", "quote'\".png"]
    for name in names:
        pictures.save(f"joy/{name}")
    assert sorted(load(pictures).table["path"]) == sorted(f"joy/{n}" for n in names)


# ------------------------------------------------------------------ manifests


HEADER = "path,expression,subject,valence,arousal,note\n"


@pytest.fixture
def images(pictures):
    for i in range(4):
        pictures.save(f"{i}.png")
    return pictures


def manifest(pictures, text, encoding="utf-8", **options):
    pictures.text("manifest.csv", text, encoding)
    return load_dataset("manifest", pictures.root, size=16, **options)


ROWS = "0.png,happy,007,0.5,-1,x\n1.png,sad,NA,,,y\n"


@pytest.mark.parametrize(
    "text",
    [
        HEADER + ROWS,
        (HEADER + ROWS).replace("\n", "\r\n"),
        (HEADER + ROWS).replace(",", ";"),
        (HEADER + ROWS).replace(",", "\t"),
        (HEADER + ROWS).replace("\n", "\n\n"),
        HEADER.upper().lower().replace("path", " path ") + ROWS,
    ],
    ids=["plain", "crlf", "semicolon", "tab", "blank-lines", "padded-header"],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_manifest_dialects(images, text, encoding):
    faces = manifest(images, text, encoding)
    assert faces.table["expression"].tolist() == ["happiness", "sadness"]
    assert faces.table["subject"].tolist() == ["007", "NA"]
    np.testing.assert_array_equal(faces.valence_arousal, [[0.5, -1], [np.nan, np.nan]])
    assert faces.attributes == ("note",)


def test_manifest_as_parquet_gives_the_same_faces(images):
    csv = manifest(images, HEADER + ROWS)
    frame = pd.DataFrame(
        {"path": ["0.png", "1.png"], "expression": ["happiness", "sadness"],
         "subject": ["007", "NA"], "valence": [0.5, None], "arousal": [-1, None],
         "note": ["x", "y"]}
    )  # fmt: skip
    frame.to_parquet(images.root / "m.parquet")
    parquet = load_dataset("manifest", images.root, file="m.parquet", size=16)
    assert parquet.fingerprint == csv.fingerprint
    direct = load_dataset("manifest", images.root / "m.parquet", size=16)
    assert direct.fingerprint == csv.fingerprint


def test_one_person_is_one_person_however_the_name_is_typed(images):
    composed, combining = "Jos\u00e9", "Jose\u0301"
    text = f"path,expression,subject\n0.png,happy, {composed}\n1.png,sad,{combining} \n"
    assert manifest(images, text).subjects == (composed,)


def test_names_alike_but_for_case_or_zeros_are_said(images):
    faces = manifest(images, "path,expression,subject\n0.png,happy,p1\n1.png,sad,P01\n")
    assert faces.subjects == ("P01", "p1")  # and "010" is not "100"
    assert any("spelt in several ways (P01, p1)" in note for note in faces.info.notes)


def test_a_path_leads_to_its_file_through_spaces_and_forms_of_accents(images):
    name = unicodedata.normalize("NFD", "M\u00fcller.png")
    (images.root / "0.png").rename(images.root / name)
    wanted = unicodedata.normalize("NFC", name)
    faces = manifest(images, f'path,expression\n{wanted},happy\n"1.png ",sad\n')
    assert len(faces) == 2


def test_words_of_a_split_are_read_by_one_table_and_others_refused_by_line(images):
    text = "path,expression,split\n0.png,happy,{}\n1.png,sad, Training \n"
    assert manifest(images, text.format("Held-Out")).table["split"].tolist() == ["test", "train"]
    assert manifest(images, text.format(" ")).table["split"].isna().tolist() == [True, False]
    with pytest.raises(DataError, match=r"line 2, 0\.png: unknown split 'extra': known: train,"):
        manifest(images, text.format("extra"))


def test_missing_labels_stay_missing(images):
    faces = manifest(images, HEADER + "0.png,,,nan,NaN,\n1.png,nan,a,0,0,z\n")
    assert faces.expression.tolist() == [-1, -1]
    assert faces.subject.tolist() == [-1, 0]
    assert np.isnan(faces.valence_arousal[0]).all()
    assert faces.table["note"].isna().tolist() == [True, False]


@pytest.mark.parametrize(
    ("row", "where", "reason"),
    [
        ("2.png,hapiness,a,,,", "line 4", "did you mean 'happiness'"),
        ("2.png,9,a,,,", "line 4", "unknown expression '9'"),
        ("2.png,happy,a,7,0,", "line 4", "valence 7 is not in"),
        ("2.png,happy,a,0,-1.5,", "line 4", "arousal -1.5 is not in"),
        ("2.png,happy,a,high,0,", "line 4", "valence 'high' is no number"),
        ("../set/2.png,happy,a,,,", None, None),
        ("../../secret.png,happy,a,,,", "line 4", "leads outside the root"),
        ("/etc/passwd,happy,a,,,", "line 4", "leads outside the root"),
        ("absent.png,happy,a,,,", "line 4", "there is no such file"),
        ("0.png,happy,007,0.5,-1,x", "line 4", "is listed twice"),
        (",happy,a,,,", "line 4", "there is no path"),
    ],
)
def test_bad_rows_are_named_or_listed(images, row, where, reason):
    text = HEADER + ROWS + row + "\n"
    if reason is None:  # leads out and in again: it stays inside
        assert len(manifest(images, text)) == 3
        return
    with pytest.raises(DataError, match=reason) as caught:
        manifest(images, text)
    assert f"manifest.csv {where}" in str(caught.value)
    faces = manifest(images, text, bad_images="set-aside")
    assert len(faces) == 2
    assert reason in faces.rejects["reason"][0]
    assert where in faces.rejects["where"][0]


def test_lines_are_counted_over_quoted_new_lines(images):
    text = HEADER + '0.png,happy,a,,,"two\nlines"\n1.png,bogus,a,,,\n'
    with pytest.raises(DataError, match="line 4"):
        manifest(images, text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("0.png,happy\n1.png,sad\n", "no column 'path'.*0.png, happy"),
        ("", "is empty"),
        (HEADER + "0.png,happy\n", "line 2: 2 values for 6 columns"),
        (HEADER, "no usable image"),
    ],
)
def test_broken_manifests_are_clear_errors(images, text, reason):
    with pytest.raises(DataError, match=reason):
        manifest(images, text)


def test_a_manifest_in_another_encoding_is_a_clear_error(images):
    with pytest.raises(DataError, match="is not UTF-8"):
        manifest(images, HEADER + "0.png,happy,Jürgen,,,\n", "latin-1")


def test_own_labels_need_an_explicit_map(images):
    text = "file,label\n0.png,1\n1.png,2\n"
    faces = manifest(images, text, labels={"1": "surprise", "2": "fear"})
    assert faces.table["expression"].tolist() == ["surprise", "fear"]


def test_an_empty_class_is_no_class(images):
    (images.root / "tree" / "fear").mkdir(parents=True)
    images.save("tree/anger/1.png")
    faces = load_dataset("folder", images.root / "tree", size=16)
    assert faces.classes == ("anger",)


# ------------------------------------------------------------------ class folders


def test_folder_with_splits_and_subjects(pictures):
    pictures.save("Train/Happy/anna/1.png")
    pictures.save("val/sad/bert/1.png")
    pictures.save("test/anger/carl/deep/1.png")
    faces = load(pictures)
    assert sorted(faces.table["split"]) == ["test", "train", "validation"]
    assert faces.subjects == ("anna", "bert", "carl")
    assert len(load(pictures, split="train")) == 1


def test_folder_with_subjects_in_the_name(pictures):
    pictures.save("happy/S010_004.png")
    pictures.save("sad/S011_004.png")
    assert load(pictures, subject=r"S\d+").subjects == ("S010", "S011")
    assert load(pictures, subject=r"(?P<subject>\d+)_").subjects == ("010", "011")
    with pytest.raises(DataError, match="pattern 'X' misses"):
        load(pictures, subject="X")
    with pytest.raises(DataError, match="no regular expression"):
        load(pictures, subject="(")


def test_folder_with_numbered_classes(pictures):
    pictures.save("1/a.png")
    faces = load(pictures, labels={"1": "surprise"})
    assert faces.classes == ("surprise",)


# ------------------------------------------------------------------ made faces


def test_generated_faces_are_made_once(monkeypatch):
    options = {"subjects": 4, "images_per_subject": 7, "size": 32, "seed": 11}
    first = load_dataset("generated", **options)
    assert len(first) == 28
    assert first.has_valence_arousal
    assert len(first.subjects) == 4
    assert any(c.startswith("factor_") for c in first.table)
    from fer_bench.data.synthetic import generated

    def never(**_):
        raise AssertionError("made twice")

    never.__wrapped__ = generated.generate  # the options are still those of the real one
    monkeypatch.setattr(generated, "generate", never)
    assert load_dataset("generated", **options).fingerprint == first.fingerprint
    with pytest.raises(DataError, match="did you mean 'subjects'"):
        load_dataset("generated", subjets=3)


def test_what_an_interrupted_renderer_leaves_is_no_entry_and_goes(monkeypatch, tmp_path):
    from fer_bench.data.synthetic import renderer

    options = {"subjects": 2, "images_per_subject": 7, "size": 32, "cache": tmp_path}
    with monkeypatch.context() as patch:
        patch.setattr(renderer.Scene, "draw", interrupted)
        with pytest.raises(KeyboardInterrupt):
            load_dataset("generated", **options)
    store = tmp_path / "generated"
    assert [p for p in store.iterdir() if p.is_dir()] == []
    (lock,) = store.glob("*.lock")
    killed = store / f".{lock.stem}.0a1b2c3d"  # a kill leaves the folder that was being written
    killed.mkdir()
    (killed / "images.npy").write_bytes(b"half")
    faces = load_dataset("generated", **options)
    assert len(faces) == 14
    assert [p.name for p in store.iterdir() if p.is_dir()] == [lock.stem]


def interrupted(*_, **__):
    raise KeyboardInterrupt


def test_rendering_shows_how_far_it_is(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(progress, "EVERY", 0.0)
    options = {"subjects": 1, "images_per_subject": 7, "size": 32}
    load_dataset("generated", **options, cache=tmp_path / "a")
    assert "rendering faces: 7 of 7" in capsys.readouterr().err
    load_dataset("generated", **options, cache=tmp_path / "b", progress=False)
    assert capsys.readouterr().err == ""
    assert "progress" not in registry.datasets.get("generated").options()


# ------------------------------------------------------------------ decisions


def test_decisions_are_followed(tree):
    file = tree.text(
        "decisions.csv",
        "path,decision,expression\nhappy/0.png,drop,\nhappy/1.png,relabel,fear\nsad/0.png,keep,\n",
    )
    faces = load(tree, decisions=file)
    assert len(faces) == 7
    assert faces.classes == ("happiness", "sadness", "fear")
    assert "1 dropped, 1 relabelled" in faces.info.notes[-1]
    assert faces.fingerprint != load(tree).fingerprint


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("happy/0.png,dorp,", "row 1: unknown decision 'dorp': did you mean 'drop'"),
        ("happy/0.png,relabel,", "row 1: unknown expression ''"),
        ("happy/9.png,drop,", "is not among the faces"),
    ],
)
def test_bad_decisions_are_named(tree, row, reason):
    file = tree.text("decisions.csv", f"path,decision,expression\n{row}\n")
    with pytest.raises(DataError, match=reason):
        load(tree, decisions=file)
