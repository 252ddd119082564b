"""How fast faces are made. Aim: at least 500 of 64x64 a second on two cores."""

from fer_bench.data.synthetic import render, sample_factors


def test_render_64(benchmark):
    table = sample_factors(1024, subjects=64, seed=0)
    images = benchmark.pedantic(render, (table,), {"size": 64}, rounds=3, warmup_rounds=1)
    assert images.shape == (1024, 64, 64, 3)
    benchmark.extra_info["images_per_second"] = len(table) / benchmark.stats["min"]


def test_sample_factors(benchmark):
    table = benchmark.pedantic(sample_factors, (14_000,), {"subjects": 500}, rounds=3)
    assert len(table) == 14_000
