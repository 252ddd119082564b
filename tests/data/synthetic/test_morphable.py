"""3-D faces: the right shapes move, the pixels follow the rows, bad models are refused."""

import hashlib

import numpy as np
import pandas as pd
import pytest

import fer_bench
from fer_bench.data.synthetic import dependence, generate_morphable, load_model, render_morphable
from fer_bench.data.synthetic.factors import ACTION_UNITS, EXPRESSIONS, NUISANCE_FACTORS
from fer_bench.data.synthetic.morphable import RECIPES_3D, sample_people
from fer_bench.data.synthetic.morphable_model import SUBJECT_FACTORS, weights_of_shapes
from fer_bench.errors import DataError


@pytest.fixture(scope="module")
def npz(data_pack):
    path = data_pack / "ict_facekit" / "ict_face_light.npz"
    if not path.is_file():
        pytest.skip("the data pack has no ict_facekit")
    return path


@pytest.fixture(scope="module")
def model(npz):
    return load_model(npz)


@pytest.fixture(scope="module")
def faces(model):
    return generate_morphable(model, subjects=6, images_per_subject=7, size=48, seed=2)


def still(model, **factors):
    """A table of one frontal, neutral, noiseless face, with some factors set."""
    _, table, _ = generate_morphable(
        model,
        subjects=1,
        images_per_subject=1,
        classes=["neutral"],
        style=0,
        nuisance=0,
        noise=0,
        size=16,
    )
    for name in ACTION_UNITS:
        table[f"factor_{name}"] = 0.0
    return table.assign(**{f"factor_{name}": value for name, value in factors.items()})


class TestOutput:
    def test_shapes_types_and_columns(self, faces, model):
        images, table, info = faces
        assert images.shape == (42, 48, 48, 3)
        assert images.dtype == np.uint8
        assert set(table["expression"]) == set(EXPRESSIONS)
        assert table["subject"].unique().tolist() == [f"M00{i}" for i in range(6)]
        assert table[["split", "sequence"]].isna().all(axis=None)
        assert table.filter(like="factor_").notna().all(axis=None)
        assert table.filter(like="factor_identity_").shape[1] == 100
        assert table[["valence", "arousal"]].abs().to_numpy().max() <= 1
        assert "age" not in table  # the model names no age: none is invented
        assert info["dependence"]["all"]["mutual_information"] == 0
        assert len(info["fingerprint"]) == 64

    def test_there_is_a_head_in_the_middle(self, model):
        table = still(model)
        frames = render_morphable(
            pd.concat([table.assign(factor_background=b) for b in (-1.0, 1.0)]), model, size=64
        ).astype(int)
        same = (frames[0] == frames[1]).all(axis=-1)  # where the background does not shine through
        assert same[8:56, 20:44].all()
        assert not same[:20, :4].any()
        assert not same[:20, -4:].any()

    def test_splits_and_confounding(self, model):
        _, table, info = generate_morphable(
            model, subjects=3, images_per_subject=14, test_subjects=3, rho=0.9, size=16, modes=3
        )
        train = table[table["split"] == "train"]
        assert info["dependence"]["train"] == dependence(train["group"], train["expression"])
        assert info["dependence"]["train"]["cramers_v"] > 0.5
        assert info["dependence"]["test"]["mutual_information"] == 0
        assert table.groupby("split")["subject"].nunique().tolist() == [3, 3]

    def test_people_do_not_depend_on_their_number(self):
        few, many = sample_people(2, modes=5, seed=4), sample_people(9, modes=5, seed=4)
        pd.testing.assert_frame_equal(few, many.iloc[:2])
        pd.testing.assert_frame_equal(sample_people(1, first=7, modes=5, seed=4), many.iloc[7:8])

    def test_identity_coefficients_are_standard_normal_and_skins_balanced(self):
        people = sample_people(300, modes=20, seed=1)
        z = people.filter(like="factor_identity_").to_numpy()
        assert abs(z.mean()) < 5 / np.sqrt(z.size)
        assert z.std() == pytest.approx(1, abs=0.03)
        assert (people["skin"].value_counts() == 100).all()


class TestPixels:
    def test_a_picture_depends_on_its_own_row_alone(self, faces, model):
        images, table, _ = faces
        rows = np.random.default_rng(0).permutation(len(table))[:9]
        assert (render_morphable(table.iloc[rows], model, size=48, threads=1) == images[rows]).all()

    def test_stored_fingerprints(self, model):
        """The same promise as for the flat faces, for this very model file."""
        images, table, info = generate_morphable(
            model, subjects=2, images_per_subject=7, size=32, seed=2024
        )
        numbers = table.filter(like="factor_").to_numpy(dtype=np.float64)
        assert (
            hashlib.sha256(np.ascontiguousarray(numbers).tobytes()).hexdigest()
            == "b7d05190e3ac60f6f6532dc1625267b290f40ebbdd97dbe78b95a4b3bdef58a5"
        )
        assert (
            hashlib.sha256(images.tobytes()).hexdigest()
            == "5539b2a9f0e99db8cf95d7fc492886589e817bc6148833940c2a5d8e14365006"
        )
        assert (
            info["fingerprint"]
            == "6dd828d4818ec6581e927a16cd7e4180e6016cd2c7c4551ce4461d351887c034"
        )

    def test_every_factor_changes_the_picture(self, faces, model):
        _, table, _ = faces
        table = table.iloc[[0, 8, 16]].assign(
            factor_noise=0.01, hair_style="cropped", beard="stubble", factor_light_x=0.3
        )
        before = render_morphable(table, model, size=48)
        left_out = ("occlusion", "occlusion_x", "occlusion_y")  # nothing hides a rendered face
        numbers = [n for n in (*NUISANCE_FACTORS, "camera", "noise") if n not in left_out]
        silent = []
        for name in (*ACTION_UNITS, *SUBJECT_FACTORS, *numbers, "identity_000", "identity_050"):
            column = table[f"factor_{name}"]
            change = (column + 0.6).where(column < 0.4, column - 0.6)
            if (
                render_morphable(table.assign(**{f"factor_{name}": change}), model, size=48)
                == before
            ).all():
                silent.append(name)
        assert silent == []

    def test_light_comes_from_the_side_it_is_said_to_come_from(self, model):
        table = still(model)
        lit = [
            render_morphable(
                table.assign(factor_light_x=x, factor_light_strength=1.0), model, size=32
            )
            for x in (-1.0, 1.0)
        ]
        left, right = (i[0, 10:26, 8:14].mean() - i[0, 10:26, 18:24].mean() for i in lit)
        assert left > 10 > -10 > right

    def test_pose_turns_the_way_its_sign_says(self, model):
        """Positive yaw turns the nose to the right of the picture, positive pitch downwards."""
        nose = np.argmax(model.vertices[2])
        table = still(model)
        frontal = _place(table, model, nose)
        assert _place(table.assign(factor_yaw=1.0), model, nose)[0] > frontal[0] + 3
        assert _place(table.assign(factor_pitch=1.0), model, nose)[1] > frontal[1] + 3
        assert _place(table.assign(factor_shift_x=1.0), model, nose)[0] > frontal[0] + 1


def _place(table, model, vertex):
    """Where a vertex appears in a 64 x 64 picture: it alone is painted white."""
    from fer_bench.data.synthetic import morphable_model as morphable

    class Marked(morphable.Canvas):
        def paint(self, person):
            colors = np.zeros_like(super().paint(person))
            d = ((model.vertices - model.vertices[:, [vertex]]) ** 2).sum(axis=0)
            colors[:, d < 0.4] = 1
            return colors

    shown = morphable.MorphableModel(**{k: getattr(model, k) for k in model.__dataclass_fields__})
    shown.__dict__["canvas"] = Marked(model)
    table = table.assign(factor_gloss=-1.0, factor_background=-1.0)
    gray = render_morphable(table, shown, size=64, color=False)[0, :, :, 0].astype(float)
    black = render_morphable(table, _black(shown, morphable), size=64, color=False)[0, :, :, 0]
    mark = gray - black
    rows, columns = np.indices(mark.shape)
    return (mark * columns).sum() / mark.sum(), (mark * rows).sum() / mark.sum()


def _black(model, morphable):
    class Black(morphable.Canvas):
        def paint(self, person):
            return np.zeros_like(super().paint(person))

    dark = morphable.MorphableModel(**{k: getattr(model, k) for k in model.__dataclass_fields__})
    dark.__dict__["canvas"] = Black(model)
    return dark


class TestFacs:
    """Action units move the points of the face that FACS says they move."""

    @pytest.mark.parametrize(
        ("expression", "needed"),
        [
            ("happiness", {"au6", "au12"}),
            ("sadness", {"au1", "au4", "au15", "au17"}),
            ("surprise", {"au1", "au2", "au5", "au26"}),
            ("fear", {"au1", "au2", "au4", "au5", "au20", "au25"}),
            ("disgust", {"au9", "au10"}),
            ("anger", {"au4", "au5", "au7", "au23"}),
        ],
    )
    def test_both_ways_of_an_expression_have_its_units(self, expression, needed):
        for recipe in RECIPES_3D[expression]:
            assert needed <= {unit for unit, level in recipe.items() if 0 < level <= 1}

    @staticmethod
    def moved(model, unit, near):
        shift = np.zeros_like(model.vertices)
        for shape, units in weights_of_shapes().items():
            k = model.expression_names.index(shape)
            shift += units.get(unit, 0) * model.expression[k]
        x, y, z = model.vertices
        near = (model.part == 0) & ((x - near[0]) ** 2 + (y - near[1]) ** 2 < 0.35**2)
        at = np.argmax(np.where(near, z, -np.inf))  # the skin, not what lies below it
        return shift[:, at]

    @pytest.mark.parametrize(
        ("unit", "near", "axis", "sign"),
        [
            ("au1", (1.5, 5.4), 1, 1),  # inner brow up
            ("au2", (4.6, 5.6), 1, 1),  # outer brow up
            ("au4", (1.5, 5.4), 1, -1),  # brow down
            ("au5", (3.2, 4.2), 1, 1),  # upper lid up
            ("au43", (3.2, 4.2), 1, -1),  # upper lid down
            ("au7", (3.2, 2.6), 1, 1),  # lower lid up
            ("au6", (5.0, 0.5), 1, 1),  # cheek up
            ("au9", (1.8, -0.9), 1, 1),  # wing of the nose up
            ("au10", (1.2, -2.5), 1, 1),  # upper lip up
            ("au12", (2.4, -3.45), 1, 1),  # corner of the mouth up ...
            ("au12", (2.4, -3.45), 0, 1),  # ... and out
            ("au15", (2.4, -3.45), 1, -1),  # corner down
            ("au16", (0.8, -4.3), 1, -1),  # lower lip down
            ("au17", (0.0, -4.4), 1, 1),  # lower lip pushed up
            ("au20", (2.4, -3.45), 0, 1),  # corner out
            ("au25", (0.0, -4.2), 1, -1),  # lips apart
            ("au26", (0.0, -7.0), 1, -1),  # chin down
        ],
    )
    def test_direction(self, model, unit, near, axis, sign):
        assert sign * self.moved(model, unit, near)[axis] > 0.05


class TestLoading:
    def test_reads_the_official_folder_like_the_npz(self, model, npz, tmp_path):
        """Miniature of FaceXModel: all expression shapes, two identities, polygons of four."""
        with np.load(npz, allow_pickle=False) as data:
            mean, triangles = data["v0"], data["tri"]
            identity, expression = data["identity"][:2], data["expression"]
            names = [str(n) for n in data["expression_names"]]
        faces = "\n".join(f"f {a}/{a}/{a} {b}/{b}/{b} {c}/{c}/{c}" for a, b, c in triangles + 1)

        def write(stem, vertices):
            rows = ("v %.5f %.5f %.5f\n" * len(vertices)) % tuple(vertices.ravel().tolist())
            (tmp_path / f"{stem}.obj").write_text(f"# made up\n{rows}vt 0 0\nvn 0 0 1\n{faces}\n")

        write("generic_neutral_mesh", mean)
        for k, mode in enumerate(identity):
            write(f"identity{k:03d}", mean + mode)
        needed = weights_of_shapes()
        faces = ""
        for name, shape in zip(names, expression, strict=True):
            if name in needed:
                write(name, mean + shape)
        read = load_model(tmp_path)
        assert np.abs(read.vertices - model.vertices).max() < 1e-5
        assert (read.triangles == model.triangles).all()
        assert np.abs(read.identity - model.identity[:2]).max() < 1e-4
        k, j = read.expression_names.index("jawOpen"), model.expression_names.index("jawOpen")
        assert np.abs(read.expression[k] - model.expression[j]).max() < 1e-4

        (tmp_path / "jawOpen.obj").write_text("v 1 2 3\n")
        with pytest.raises(DataError, match=r"jawOpen.obj has 1 vertices"):
            load_model(tmp_path)
        (tmp_path / "jawOpen.obj").write_text("v 1 2\n")
        with pytest.raises(DataError, match=r"jawOpen.obj is no OBJ file"):
            load_model(tmp_path)
        (tmp_path / "jawOpen.obj").unlink()
        with pytest.raises(DataError, match="no expression shape 'jawOpen'"):
            load_model(tmp_path)

    def test_quads_are_cut_into_triangles(self, tmp_path):
        from fer_bench.data.synthetic.morphable_model import _read_obj

        (tmp_path / "q.obj").write_text("v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nf 1/1 2/2 3/3 4/4\n")
        vertices, triangles = _read_obj(tmp_path / "q.obj")
        assert vertices.shape == (4, 3)
        assert triangles.tolist() == [[0, 1, 2], [0, 2, 3]]

    def test_bad_models(self, tmp_path):
        with pytest.raises(DataError, match="no such file"):
            load_model(tmp_path / "none.npz")
        with pytest.raises(DataError, match="generic_neutral_mesh"):
            load_model(tmp_path)
        (tmp_path / "bad.npz").write_bytes(b"PK nonsense")
        with pytest.raises(DataError, match="no readable"):
            load_model(tmp_path / "bad.npz")
        np.savez(tmp_path / "part.npz", v0=np.zeros((3, 3)))
        with pytest.raises(DataError, match="no array 'tri'"):
            load_model(tmp_path / "part.npz")
        np.savez(
            tmp_path / "small.npz", v0=np.zeros((3, 3)), tri=np.zeros((1, 3), int),
            identity=np.zeros((1, 3, 3)), expression=np.zeros((1, 3, 3)), expression_names=["a"],
        )  # fmt: skip
        with pytest.raises(DataError, match="do not fit"):
            load_model(tmp_path / "small.npz")

    @pytest.mark.parametrize(
        ("parameters", "words"),
        [
            ({"modes": 101}, "100 modes"),
            ({"modes": -1}, "modes = -1"),
            ({"group": "gender"}, "no attribute"),
            ({"rho": 2}, "rho = 2"),
            ({"size": 3}, "size = 3"),
            ({"subjects": 0}, "subjects = 0"),
            ({"images_per_subject": 0}, "images_per_subject = 0"),
        ],
    )
    def test_bad_parameters(self, model, parameters, words):
        small = {"subjects": 1, "images_per_subject": 1, "size": 16}
        with pytest.raises(DataError, match=words):
            generate_morphable(model, **(small | parameters))

    def test_bad_tables(self, model):
        table = still(model)
        with pytest.raises(DataError, match="no column 'factor_au1'"):
            render_morphable(table.drop(columns="factor_au1"), model)
        with pytest.raises(DataError, match="no column 'skin'"):
            render_morphable(table.drop(columns="skin"), model)
        with pytest.raises(DataError, match="'skin', row 0: 'green'"):
            render_morphable(table.assign(skin="green"), model)
        with pytest.raises(DataError, match="'factor_yaw', row 0"):
            render_morphable(table.assign(factor_yaw=np.inf), model)


@pytest.mark.slow
def test_a_recogniser_of_photographs_reads_the_smiles(data_pack, npz):
    """It has seen no render: smiling and neutral people of the London set alone."""
    photographs = fer_bench.load_dataset("london", data_pack / "london", size=48, color=False)
    renders = fer_bench.load_dataset(
        "morphable", npz, subjects=20, images_per_subject=28, size=48, color=False
    )
    model = fer_bench.Recognizer("erm", epochs=40, batch_size=32, lr=1e-3, augment="rotations")
    smiling = pd.Series(model.fit(photographs).predict(renders) == "happiness")
    share = smiling.groupby(renders.table["expression"].to_numpy()).mean()
    assert share["happiness"] > 0.6
    for name in ("neutral", "sadness", "anger", "fear", "surprise"):  # disgust it takes for one
        assert share[name] < 0.3
