"""How the server imports: without a search for garbage, and without what nobody needs."""

import gc
import importlib
import sys

import pytest

from fer_bench.sweep.server import _absent, importing


def test_what_is_hidden_can_be_imported_afterwards(monkeypatch):
    monkeypatch.delitem(sys.modules, "tabnanny", raising=False)
    with _absent("tabnanny"), pytest.raises(ImportError):
        importlib.import_module("tabnanny")
    assert importlib.import_module("tabnanny").check
    with _absent("tabnanny"):
        assert importlib.import_module("tabnanny").check


@pytest.mark.parametrize("enabled", [True, False])
def test_garbage_is_searched_for_as_before_the_imports(monkeypatch, enabled):
    frozen, states = [], []
    monkeypatch.setattr(gc, "freeze", lambda: frozen.append(gc.isenabled()))
    before = gc.isenabled()
    (gc.enable if enabled else gc.disable)()
    try:
        with pytest.raises(ImportError), importing():
            states.append(gc.isenabled())
            raise ImportError
        states.append(gc.isenabled())
    finally:
        (gc.enable if before else gc.disable)()
    assert (states, frozen) == ([False, enabled], [False])
