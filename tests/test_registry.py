import pytest

from fer_bench import registry
from fer_bench.errors import FerBenchError, UnknownNameError, did_you_mean
from fer_bench.registry import Registry


def test_unknown_name_says_what_is_near():
    shapes = Registry("no.such.group", kind="shape")
    shapes.register("circle", object)
    with pytest.raises(
        UnknownNameError, match=r"there is no shape 'circel': did you mean 'circle'"
    ):
        shapes.get("circel")


def test_unknown_name_far_from_all_lists_them():
    assert did_you_mean("zzz", ["a", "b"]) == "known: 'a', 'b'."
    assert did_you_mean("zzz", []) == "known: none."


def test_a_broken_plugin_harms_only_who_asks_for_it(monkeypatch):
    from importlib.metadata import EntryPoint

    broken = EntryPoint("broken", "fer_bench.no_such_module:Thing", "no.such.group")
    group = Registry("no.such.group", kind="shape")
    monkeypatch.setattr(group, "_entries", {"broken": broken})
    group.register("fine", 1)
    assert group.names() == ["broken", "fine"]
    assert group.get("fine") == 1
    with pytest.raises(FerBenchError, match="cannot be imported from 'fer_bench.no_such_module"):
        group.get("broken")


@pytest.mark.parametrize("group", ["methods", "datasets", "metrics", "estimators"])
def test_every_registered_name_can_be_imported(group):
    entries = getattr(registry, group)
    assert entries.names(), f"no {group} are registered: is the package installed?"
    for name in entries.names():
        assert entries.get(name) is not None
        assert entries.origin(name)


@pytest.mark.parametrize("group", ["methods", "datasets", "metrics", "estimators"])
@pytest.mark.parametrize("change", [str.upper, str.title, lambda name: name.replace("-", " _")])
def test_a_name_as_papers_write_it_is_near_the_registered_one(group, change):
    names = getattr(registry, group).names()
    for name in names:
        assert did_you_mean(change(name), names) == f"did you mean {name!r}?"
        assert did_you_mean(name.replace("+", "plus"), names) == f"did you mean {name!r}?"


@pytest.mark.parametrize("name", [None, 3, ["erm"], "", "\x1b[31m"])
def test_what_is_no_name_is_refused_like_an_unknown_one(name):
    with pytest.raises(UnknownNameError, match="there is no method"):
        registry.methods.get(name)
