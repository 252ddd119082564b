import numpy as np
import pandas as pd
import pytest

from fer_bench.data import EXPRESSIONS, DataInfo, FaceData
from fer_bench.data.faces import standard_table
from fer_bench.errors import DataError


def make(n=6, **columns):
    images = np.arange(n * 64, dtype=np.uint8).reshape(n, 8, 8, 1)
    return FaceData(images, pd.DataFrame(columns, index=range(n)))


def test_codes_follow_the_canonical_order_and_missing_is_minus_one():
    faces = make(
        4, expression=["anger", None, "neutral", "happiness"], subject=["b", "a", None, "b"]
    )
    assert faces.classes == ("neutral", "happiness", "anger")
    assert faces.expression.tolist() == [2, -1, 0, 1]
    assert faces.subjects == ("a", "b")
    assert faces.subject.tolist() == [1, 0, -1, 1]
    assert faces.has_subjects
    assert not faces.has_valence_arousal


def test_missing_valence_is_nan_never_zero():
    faces = make(3, valence=[0.5, np.nan, 1.0], arousal=[0.1, 0.2, np.nan])
    assert np.isnan(faces.valence_arousal).tolist() == [
        [False, False],
        [True, False],
        [False, True],
    ]
    assert faces.has_valence_arousal
    assert faces.classes == ()
    assert not faces.has_subjects


def test_attributes_are_text_and_booleans_but_not_factors_or_numbers():
    faces = make(
        2, pose=["left", "up"], glasses=[True, False], age=[20.0, 30.0], factor_au1=["x", "y"]
    )
    assert faces.attributes == ("pose", "glasses")


def test_subset_is_a_view_that_keeps_codes():
    faces = make(6, expression=list(EXPRESSIONS[:6]), subject=list("abcdef"))
    part = faces.subset([5, 1, 1])
    assert part._pixels is faces._pixels
    assert part.classes == faces.classes
    assert part.expression.tolist() == [5, 1, 1]
    again = part.subset(np.array([True, False, True]))
    assert again.subject.tolist() == [5, 1]
    np.testing.assert_array_equal(again.images, faces.images[[5, 1]])
    np.testing.assert_array_equal(again.gather([1]), faces.images[[1]])
    assert part.shape == (1, 8, 8)


def test_gather_is_a_contiguous_copy():
    faces = make()
    batch = faces.gather([2, 0])
    assert batch.flags.c_contiguous
    batch[:] = 0
    assert faces.images.any()
    with pytest.raises(IndexError):
        faces.gather([6])
    with pytest.raises(IndexError):
        faces.subset(np.array([True]))


def test_select_narrows_the_vocabulary_and_names_what_is_near():
    faces = make(4, expression=["anger", "fear", "anger", "fear"], split=["train"] * 3 + ["test"])
    assert faces.select(split="train", classes=["anger"]).classes == ("anger",)
    assert len(faces.select(where={"split": ["train", "test"]})) == 4
    with pytest.raises(DataError, match="did you mean 'train'"):
        faces.select(split="trian")
    with pytest.raises(DataError, match="did you mean 'split'"):
        faces.select(where={"spilt": "train"})
    with pytest.raises(DataError, match="no face .* is left"):
        faces.select(classes=["contempt"])


def test_fingerprint_is_of_content_alone():
    one, two = make(4, subject=list("abab")), make(4, subject=list("abab"))
    assert one.fingerprint == two.fingerprint
    assert one.fingerprint != make(4, subject=list("abba")).fingerprint
    assert one.fingerprint != make(4, subject=["a", "b", "a", None]).fingerprint
    assert one.subset([0, 1]).fingerprint == two.subset([0, 1]).fingerprint
    assert one.subset([0, 1]).fingerprint != one.subset([1, 0]).fingerprint
    brighter = FaceData(one.images + 1, one.table)
    assert brighter.fingerprint != one.fingerprint
    # The borders between values and between columns count.
    left, right = make(2, a=["x", "y"], b=["", "z"]), make(2, a=["x", ""], b=["y", "z"])
    assert left.fingerprint != right.fingerprint


def test_keys_are_unique_and_stable():
    faces = make(4, path=["a.png", "b.png", "a.png", None])
    assert faces.keys == ("a.png", "b.png", "a.png #2", "row 3")


def test_save_and_open_again(tmp_path, small_faces):
    info = DataInfo("x", attributes=("a",), expected={"images": 3}, notes=("n",))
    small_faces.with_info(info).save(tmp_path / "x")
    back = FaceData.open(tmp_path / "x")
    assert back.info == info
    assert back.fingerprint == small_faces.fingerprint
    assert isinstance(back.images, np.memmap)
    assert not back.images.flags.writeable
    np.testing.assert_array_equal(back.images, small_faces.images)
    pd.testing.assert_frame_equal(back.table, small_faces.table)
    again = FaceData(np.asarray(back.images), back.table)
    assert again.fingerprint == small_faces.fingerprint
    (tmp_path / "x" / "info.json").write_text("{}")
    with pytest.raises(DataError, match="holds no saved faces"):
        FaceData.open(tmp_path / "x")


@pytest.mark.parametrize(
    "table",
    [
        pd.DataFrame(index=range(3)),
        pd.DataFrame({"expression": [None, None, None], "age": [1.5, None, 3.0]}),
        pd.DataFrame({"subject": [" a", "", "b\u0301"], "glasses": [True, None, False]}),
        pd.DataFrame({"subject": [7, 8, 9], "hair": ["x", None, "y"], "factor_a": [1, 2, 3]}),
    ],
)
def test_a_saved_table_needs_no_second_reading(tmp_path, table):
    faces = FaceData(np.zeros((3, 8, 8, 1), np.uint8), table)
    back = FaceData.open(faces.save(tmp_path / "x"))
    pd.testing.assert_frame_equal(back.table, standard_table(faces.table))


def test_rejects_of_what_was_saved_there_before_are_gone(tmp_path, small_faces):
    rejects = pd.DataFrame({"path": ["x.png"], "where": ["line 2"], "reason": ["unreadable"]})
    bad = FaceData(np.asarray(small_faces.images), small_faces.table, rejects=rejects)
    assert len(FaceData.open(bad.save(tmp_path / "x")).rejects) == 1
    assert len(FaceData.open(small_faces.save(tmp_path / "x")).rejects) == 0


def test_a_saved_table_of_fewer_columns_is_completed(tmp_path, small_faces):
    folder = small_faces.save(tmp_path / "x")
    small_faces.table.drop(columns="sequence").to_parquet(folder / "table.parquet", index=False)
    back = FaceData.open(folder).table
    assert list(back) == list(small_faces.table)
    assert back["sequence"].isna().all()


@pytest.mark.parametrize(
    "images",
    [np.zeros((2, 8, 8, 1)), np.zeros((2, 8, 8), np.uint8), np.zeros((2, 8, 8, 4), np.uint8)],
)
def test_wrong_arrays_are_refused(images):
    with pytest.raises(DataError, match="uint8"):
        FaceData(images, pd.DataFrame(index=range(2)))


def test_rows_and_images_must_match():
    with pytest.raises(DataError, match="2 images but 3 table rows"):
        FaceData(np.zeros((2, 8, 8, 1), np.uint8), pd.DataFrame(index=range(3)))


def test_with_table_of_a_view_keeps_pixels(small_faces):
    view = small_faces.subset([3, 5])
    table = view.table.assign(expression=["anger", "fear"])
    other = view.with_table(table)
    assert other.classes == ("fear", "anger")
    np.testing.assert_array_equal(other.images, view.images)
    assert other.fingerprint != view.fingerprint
