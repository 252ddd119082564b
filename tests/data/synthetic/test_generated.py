"""Generated faces: exact factors, honest dependence, bytes that do not move."""

import hashlib

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fer_bench.data.synthetic import caption, dependence, generate, render, sample_factors
from fer_bench.data.synthetic.factors import (
    ACTION_UNITS,
    ATTRIBUTES,
    EXPRESSIONS,
    NUISANCE_FACTORS,
    SUBJECT_FACTORS,
    sample_subjects,
    tied_classes,
)
from fer_bench.errors import DataError


@pytest.fixture(scope="module")
def faces():
    return generate(subjects=12, images_per_subject=14, size=48, seed=4)


@pytest.fixture(scope="module")
def many():
    return sample_factors(28 * 300, subjects=300, seed=11)


def sha(array):
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


class TestOutput:
    def test_shapes_types_and_columns(self, faces):
        images, table, info = faces
        assert images.shape == (168, 48, 48, 3)
        assert images.dtype == np.uint8
        assert len(table) == 168
        assert list(table["expression"].cat.categories) == list(EXPRESSIONS)
        assert table["subject"].iloc[0] == "G000"
        assert table[["split", "sequence"]].isna().all(axis=None)  # unknown is missing
        assert table.filter(like="factor_").notna().all(axis=None)
        for name, levels in ATTRIBUTES.items():
            assert set(table[name]) <= set(levels)
        assert info["name"] == "generated"
        assert info["parameters"]["seed"] == 4

    def test_gray_is_the_luma_of_the_colours(self):
        table = sample_factors(7, subjects=1, noise=0.0, seed=2)
        color = render(table, size=40).astype(float)
        gray = render(table, size=40, color=False)
        assert gray.shape == (7, 40, 40, 1)
        luma = color @ [0.299, 0.587, 0.114]
        # Colours were clipped and rounded before, gray after.
        clipped = ((color == 255) | (color == 0)).any(axis=-1)
        assert np.abs(luma - gray[..., 0])[~clipped].max() <= 1.01

    def test_valence_and_arousal_lie_in_range_and_follow_the_class(self, many):
        means = many.groupby("expression", observed=True)[["valence", "arousal"]].mean()
        assert many[["valence", "arousal"]].abs().to_numpy().max() <= 1
        assert means["valence"].idxmax() == "happiness"
        assert (means.loc[["sadness", "fear", "disgust", "anger"], "valence"] < -0.3).all()
        assert means["arousal"].idxmin() == "sadness"
        assert means.loc["neutral"].abs().max() < 0.15
        # Within a class they are no constant, and the intensity drives them.
        happy = many[many["expression"] == "happiness"]
        assert happy["valence"].corr(happy["factor_intensity"]) > 0.5

    def test_neutral_has_no_intensity_and_others_keep_their_range(self):
        table = sample_factors(140, subjects=10, intensity=(0.3, 0.6), seed=1)
        neutral = table["expression"] == "neutral"
        assert (table.loc[neutral, "factor_intensity"] == 0).all()
        assert table.loc[~neutral, "factor_intensity"].between(0.3, 0.6).all()

    def test_every_factor_changes_the_picture(self):
        """A factor that no pixel shows would be a label without evidence."""
        table = sample_factors(70, subjects=10, noise=0.0, seed=6)
        table["beard"] = "beard"
        table["hair_style"] = "curly"
        table["glasses"] = "round"
        table["factor_occlusion"] = 1.0
        before = render(table, size=32)
        silent = []
        for name in (*SUBJECT_FACTORS, *ACTION_UNITS, *NUISANCE_FACTORS, "clothes"):
            changed = table.copy()
            column = changed[f"factor_{name}"]
            changed[f"factor_{name}"] = (column + 0.5).where(column < 0.4, column - 0.5)
            if (render(changed, size=32) == before).all():
                silent.append(name)
        assert silent == []

    # Gender is painted through the continuous factor `masculinity`.
    @pytest.mark.parametrize("attribute", sorted(set(ATTRIBUTES) - {"gender"}))
    def test_every_attribute_level_changes_the_picture(self, attribute):
        table = sample_factors(18, subjects=18, noise=0.0, seed=6)
        seen = {
            sha(render(table.assign(**{attribute: level}), size=32))
            for level in ATTRIBUTES[attribute]
        }
        assert len(seen) == len(ATTRIBUTES[attribute])


class TestBytes:
    def test_same_seed_same_bytes_whatever_the_threads_and_the_chunks(self, faces, monkeypatch):
        from fer_bench.data.synthetic import renderer

        images, table, _ = faces
        monkeypatch.setattr(renderer, "_CHUNK_PIXELS", 5 * 48 * 48)
        assert (render(table, size=48, threads=3) == images).all()
        monkeypatch.setattr(renderer, "_CHUNK_PIXELS", 1)
        assert (render(table.iloc[:20], size=48, threads=1) == images[:20]).all()

    def test_features_fit_their_windows_at_the_extremes(self, monkeypatch):
        """Painting inside windows is only a short cut: it must never cut anything off."""
        from fer_bench.data.synthetic import renderer

        rng = np.random.default_rng(5)
        table = sample_factors(120, subjects=60, noise=0.0, seed=6)
        for name in (*SUBJECT_FACTORS, *NUISANCE_FACTORS):
            table[f"factor_{name}"] = rng.choice([-1.0, 0.0, 1.0], len(table))
        for name in ACTION_UNITS:
            table[f"factor_{name}"] = rng.choice([0.0, 0.5, 1.0], len(table))
        table["factor_blur"] = 0.0
        table["beard"], table["glasses"] = "beard", "square"
        monkeypatch.setattr(renderer, "_CHUNK_PIXELS", 1)  # windows as tight as they get
        tight = render(table, size=48)
        monkeypatch.setattr(
            renderer.Scene, "region", lambda self, *window: (slice(None), slice(None))
        )
        assert (render(table, size=48) == tight).all()

    def test_a_picture_depends_on_its_own_row_alone(self, faces):
        images, table, _ = faces
        rows = np.random.default_rng(0).permutation(len(table))[:40]
        assert (render(table.iloc[rows], size=48) == images[rows]).all()

    def test_a_subject_does_not_depend_on_the_others(self):
        few = sample_factors(20, subjects=2, seed=5)
        more = sample_factors(60, subjects=6, seed=5)
        last = sample_factors(10, subjects=1, first_subject=5, seed=5)
        pd.testing.assert_frame_equal(few, more.iloc[:20])
        own = more[more["subject"] == "G005"].reset_index(drop=True)
        assert (own.filter(like="factor_") == last.filter(like="factor_")).all(axis=None)

    def test_other_seeds_give_other_people(self):
        images = [generate(subjects=1, images_per_subject=2, size=16, seed=s)[0] for s in (0, 1, 2)]
        assert len({sha(i) for i in images}) == 3

    def test_stored_fingerprints(self):
        """The promise across machines, thread counts and NumPy versions.

        If a change of the renderer is meant, raise `generated._VERSION` and store the new values.
        """
        images, table, info = generate(subjects=4, images_per_subject=7, size=32, seed=2024)
        numbers = table.filter(like="factor_").to_numpy(dtype=np.float64)
        assert sha(numbers) == "9a411ed27659dc1f8bde1bcfc4ba6cc425fc92951075475ed0f0bcd7077af04b"
        assert (
            sha(table[["valence", "arousal"]].to_numpy(dtype=np.float64))
            == "032be0c0f03d49c8cfeec9d23e7a6e5d3450fc0d6f17d818c5e6ef395e30a4d5"
        )
        assert sha(images) == "4cd09838d57b8c5b14f276a2e8b4057b126cb79677c959ac8608a0029da003c7"
        assert (
            info["fingerprint"]
            == "2a2450bf4f5717fe75fc88463c3e0f038e9cd84ca633905ece730dfab92f4287"
        )


class TestIndependence:
    def test_design_is_crossed(self):
        people = sample_subjects(36, seed=9)
        for a, b in (("skin", "age"), ("skin", "gender"), ("age", "gender")):
            assert dependence(people[a], people[b])["mutual_information"] == 0

    def test_every_subject_shows_every_expression_equally_often(self, many):
        counts = pd.crosstab(many["subject"], many["expression"]).to_numpy()
        assert (counts == 4).all()
        assert dependence(many["subject"], many["expression"])["cramers_v"] == 0

    def test_left_over_images_take_turns(self):
        table = sample_factors(10 * 70, subjects=70, seed=3)
        counts = pd.crosstab(table["subject"], table["expression"]).to_numpy()
        assert counts.min() == 1
        assert counts.max() == 2
        assert (counts.sum(axis=0) == 100).all()

    def test_continuous_factors_are_uncorrelated(self):
        """All pairs of subject factors; masculinity is by design a function of gender."""
        people = sample_subjects(1800, seed=8)
        u = people[[f"factor_{n}" for n in SUBJECT_FACTORS if n != "masculinity"]].to_numpy()
        r = np.corrcoef(u.T)[np.triu_indices(u.shape[1], 1)]
        # Bonferroni over all pairs at 1 %.
        limit = stats.norm.isf(0.005 / len(r)) / np.sqrt(len(u))
        assert np.abs(r).max() < limit
        assert np.abs(u.mean(axis=0)).max() < 5 * np.sqrt(1 / 3 / len(u))

    def test_nuisance_does_not_know_the_expression(self, many):
        codes = many["expression"].cat.codes.to_numpy()
        p = [
            stats.f_oneway(*(many[f"factor_{n}"].to_numpy()[codes == k] for k in range(7))).pvalue
            for n in NUISANCE_FACTORS
        ]
        assert min(p) > 0.01 / len(p)

    def test_discrete_attributes_are_independent_of_morphology(self):
        people = sample_subjects(1800, seed=8)
        p = [
            stats.chi2_contingency(pd.crosstab(people[a], people[b])).pvalue
            for a, b in (("glasses", "skin"), ("glasses", "hair_style"), ("hair_style", "skin"))
        ]
        assert min(p) > 0.01 / len(p)

    def test_uniform_draws_are_uniform(self):
        people = sample_subjects(1800, seed=8)
        for name in ("jaw_width", "eye_size", "lip_thickness"):
            u = (people[f"factor_{name}"] + 1) / 2
            assert stats.kstest(u, "uniform").pvalue > 1e-3

    def test_subjects_differ_in_the_way_they_express(self):
        def spread(style):
            table = sample_factors(7 * 40 * 10, subjects=40, style=style, seed=3)
            happy = table[table["expression"] == "happiness"]
            ratio = happy["factor_au12"] / happy["factor_intensity"]
            return ratio.groupby(happy["subject"]).mean().std()

        assert spread(1.0) > 3 * spread(0.0)


class TestConfounding:
    @pytest.mark.parametrize("group", ["gender", "skin", "subject"])
    def test_dependence_grows_with_rho(self, group):
        values = []
        for rho in (0, 0.25, 0.5, 0.8, 0.95, 1):
            table = sample_factors(28 * 36, subjects=36, rho=rho, group=group, seed=1)
            values.append(dependence(table["group"], table["expression"])["mutual_information"])
        assert values[0] == 0
        assert (np.diff(values) > 0).all()

    def test_at_one_a_group_shows_its_own_classes_alone(self):
        table = sample_factors(28 * 18, subjects=18, rho=1.0, seed=1)
        shown = table.groupby("group")["expression"].unique().map(set)
        assert shown["woman"] == {"neutral", "sadness", "fear", "anger"}
        assert shown["man"] == {"happiness", "surprise", "disgust"}
        back = sample_factors(28 * 18, subjects=18, rho=1.0, reverse=True, seed=1)
        reversed_ = back.groupby("group")["expression"].unique().map(set)
        assert reversed_["man"] == shown["woman"]
        assert reversed_["woman"] == shown["man"]

    def test_shares_are_the_formula(self):
        rho, per_subject = 0.5, 84
        table = sample_factors(per_subject * 4, subjects=4, group="subject", rho=rho, seed=0)
        shares = pd.crosstab(table["subject"], table["expression"], normalize="index").to_numpy()
        tied = np.stack([tied_classes(g, 4, 7) for g in range(4)])
        expected = (1 - rho) / 7 + rho * tied / tied.sum(axis=1, keepdims=True)
        assert np.abs(shares - expected).max() < 1 / per_subject

    def test_confounded_training_and_reversed_test(self):
        _, table, info = generate(
            subjects=6, images_per_subject=28, test_subjects=4, size=16,
            rho=0.9, test_rho=0.9, test_reverse=True, seed=3,
        )  # fmt: skip
        train, test = (table[table["split"] == part] for part in ("train", "test"))
        assert not set(train["subject"]) & set(test["subject"])
        assert info["dependence"]["train"] == dependence(train["group"], train["expression"])
        shares = pd.concat(
            [
                p.groupby("group")["expression"].apply(lambda e: (e == "happiness").mean())
                for p in (train, test)
            ],
            axis=1,
        ).to_numpy()
        assert shares[0, 0] > 0.2 > 0.05 > shares[1, 0]
        assert shares[1, 1] > 0.2 > 0.05 > shares[0, 1]

    def test_dependence_reads_known_values(self):
        assert dependence(["a", "b"] * 50, ["x", "x", "y", "y"] * 25) == {
            "mutual_information": 0.0,
            "cramers_v": 0.0,
        }
        full = dependence(list("abcabc"), list("xyzxyz"))
        assert full["mutual_information"] == pytest.approx(np.log(3))
        assert full["cramers_v"] == pytest.approx(1)
        # 2 x 2 with p = .4 .1 .1 .4: I = ln 2 - h(.2), V = .6
        some = dependence(list("aaaaabbbbb"), list("xxxxyxyyyy"))
        h = -(0.8 * np.log(0.8) + 0.2 * np.log(0.2))
        assert some["mutual_information"] == pytest.approx(np.log(2) - h)
        assert some["cramers_v"] == pytest.approx(0.6)
        assert dependence(["a"] * 4, list("xyxy"))["cramers_v"] == 0


@settings(max_examples=25, deadline=None)
@given(
    subjects=st.integers(1, 5),
    images=st.integers(1, 9),
    size=st.integers(16, 40),
    rho=st.floats(0, 1),
    style=st.floats(0, 1),
    nuisance=st.floats(0, 1),
    noise=st.floats(0, 1),
    seed=st.integers(0, 2**64),
    group=st.sampled_from([*ATTRIBUTES, "subject"]),
    reverse=st.booleans(),
    classes=st.lists(st.sampled_from(EXPRESSIONS), min_size=1, unique=True),
)
def test_any_valid_parameters_give_faces(subjects, images, size, classes, **rest):
    pixels, table, info = generate(
        subjects=subjects, images_per_subject=images, size=size, classes=classes, **rest
    )
    assert pixels.shape == (subjects * images, size, size, 3)
    assert (table.groupby("subject").size() == images).all()
    assert table[["valence", "arousal"]].abs().to_numpy().max() <= 1
    assert table[[f"factor_{n}" for n in ACTION_UNITS]].stack().between(0, 1).all()
    assert 0 <= info["dependence"]["all"]["mutual_information"] <= np.log(len(classes)) + 1e-9


class TestBadInput:
    @pytest.mark.parametrize(
        ("parameters", "words"),
        [
            ({"subjects": 0}, "subjects = 0"),
            ({"subjects": 2.5}, "subjects = 2.5"),
            ({"subjects": True}, "subjects = True"),
            ({"images_per_subject": -1}, "images_per_subject = -1"),
            ({"size": 8}, "size = 8"),
            ({"size": 5000}, "size = 5000"),
            ({"rho": 1.2}, "rho = 1.2"),
            ({"rho": float("nan")}, "rho = nan"),
            ({"rho": "high"}, "rho = 'high'"),
            ({"test_rho": -0.1}, "test_rho = -0.1"),
            ({"test_subjects": -3}, "test_subjects = -3"),
            ({"seed": -1}, "seed = -1"),
            ({"group": "gendre"}, "did you mean 'gender'"),
            ({"classes": ["joy"]}, "unknown 'joy'"),
            ({"classes": []}, "list of expression names"),
            ({"classes": "anger"}, "list of expression names"),
            ({"classes": ["anger", "anger"]}, "once"),
            ({"intensity": (0.9, 0.1)}, "intensity"),
            ({"intensity": (0.1,)}, "pair"),
            ({"noise": float("inf")}, "noise = inf"),
            ({"style": -1}, "style = -1"),
            ({"threads": 0}, "threads = 0"),
        ],
    )
    def test_parameters(self, parameters, words):
        small = {"subjects": 2, "images_per_subject": 2, "size": 16}
        with pytest.raises(DataError, match=words):
            generate(**(small | parameters))

    def test_tables(self):
        table = sample_factors(4, subjects=2, seed=0)
        with pytest.raises(DataError, match="no column 'factor_yaw'"):
            render(table.drop(columns="factor_yaw"))
        with pytest.raises(DataError, match="'factor_au12', row 3: nan"):
            render(table.assign(factor_au12=[0, 0, 0, np.nan]))
        with pytest.raises(DataError, match="'factor_au12' holds something"):
            render(table.assign(factor_au12="much"))
        with pytest.raises(DataError, match="'skin', row 0: 'green' is none of light"):
            render(table.assign(skin="green"))

    def test_no_rows_no_faces(self):
        table = sample_factors(4, subjects=2, seed=0).iloc[:0]
        assert render(table, size=16).shape == (0, 16, 16, 3)


class TestCaption:
    def test_names_what_is_seen(self, faces):
        _, table, _ = faces
        for _, row in table.iterrows():
            text = caption(row, expression=True)
            assert text.startswith("a photo of a")
            assert f"{row['skin']} skin" in text
            assert str(row["gender"]) in text
            assert ("glasses" in text) == (row["glasses"] != "none")
            assert ("beard" in text or "stubble" in text) == (row["beard"] != "none")
            assert str(row["expression"]) in text

    def test_grammar(self):
        row = {
            "skin": "light", "age": "old", "gender": "man", "hair": "gray",
            "hair_style": "fringe", "glasses": "none", "beard": "beard", "expression": "anger",
        }  # fmt: skip
        assert caption(row, expression=True) == (
            "a photo of an old man with light skin, gray hair with a fringe and a beard, "
            "showing anger"
        )
        row |= {"hair_style": "bald", "beard": "none", "age": "young"}
        assert caption(row) == "a photo of a young man with light skin and a bald head"

    def test_leaves_out_what_is_not_known(self):
        assert caption({"expression": "fear"}) == "a photo of a person"
        row = {"age": np.nan, "gender": "woman", "hair": "red", "skin": None, "glasses": pd.NA}
        assert caption(row) == "a photo of a woman with red hair"
