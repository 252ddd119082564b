"""How fast faces are made. Aim: at least 500 of 64x64 a second on two cores."""

from fer_bench.data.synthetic import (
    generate_morphable,
    load_model,
    render,
    render_morphable,
    sample_factors,
)


def test_render_64(benchmark):
    table = sample_factors(1024, subjects=64, seed=0)
    images = benchmark.pedantic(render, (table,), {"size": 64}, rounds=3, warmup_rounds=1)
    assert images.shape == (1024, 64, 64, 3)
    benchmark.extra_info["images_per_second"] = len(table) / benchmark.stats["min"]


def test_sample_factors(benchmark):
    table = benchmark.pedantic(sample_factors, (14_000,), {"subjects": 500}, rounds=3)
    assert len(table) == 14_000


def test_render_morphable_128(benchmark, data_pack):
    """Aim: at least 50 of 128x128 a second on two cores."""
    model = load_model(data_pack / "ict_facekit")
    _, table, _ = generate_morphable(model, subjects=7, images_per_subject=14, size=16)
    images = benchmark.pedantic(
        render_morphable, (table, model), {"size": 128}, rounds=3, warmup_rounds=1
    )
    assert images.shape == (98, 128, 128, 3)
    benchmark.extra_info["images_per_second"] = len(table) / benchmark.stats["min"]
