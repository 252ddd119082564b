"""The packages import one way down: no module imports what imports it."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import fer_bench

ROOT = Path(fer_bench.__file__).parent


def module_imports(root: Path, package: str) -> dict[str, set[str]]:
    """What each module below a folder imports of its own package, at any depth of its code.

    Imports under `if TYPE_CHECKING:` do not run and are left out. `from package import name` is
    an import of the module `package.name` where there is one, else of `package` itself.

    Args:
        root: the folder of the package.
        package: its name, such as "fer_bench".
    """
    paths = {_name(path, root, package): path for path in _modules(root)}
    return {
        name: {
            target
            for target in _imported(ast.parse(path.read_text(encoding="utf-8")), paths)
            if target != name
        }
        for name, path in paths.items()
    }


def cycles(imports: Mapping[str, set[str]]) -> list[list[str]]:
    """Groups of modules that import each other in a circle, sorted (Tarjan 1972)."""
    order: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    circles: list[list[str]] = []

    def visit(name: str) -> None:
        order[name] = lowest[name] = len(order)
        stack.append(name)
        for target in sorted(imports.get(name, ())):
            if target not in order:
                visit(target)
                lowest[name] = min(lowest[name], lowest[target])
            elif target in stack:
                lowest[name] = min(lowest[name], order[target])
        if lowest[name] == order[name]:
            start = stack.index(name)
            component = stack[start:]
            del stack[start:]
            if len(component) > 1:
                circles.append(sorted(component))

    for name in sorted(imports):
        if name not in order:
            visit(name)
    return sorted(circles)


def within(imports: Mapping[str, set[str]], package: str) -> dict[str, set[str]]:
    """The part of an import graph that lies inside one package."""

    def inside(name: str) -> bool:
        return name == package or name.startswith(f"{package}.")

    return {
        name: {target for target in targets if inside(target)}
        for name, targets in imports.items()
        if inside(name)
    }


def _modules(root: Path) -> Iterator[Path]:
    for folder, _, names in os.walk(root, followlinks=True):  # baselines and reports are links
        yield from (Path(folder, name) for name in names if name.endswith(".py"))


def _name(path: Path, root: Path, package: str) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join((package, *(part for part in parts if part != "__init__")))


def _imported(tree: ast.AST, modules: Mapping[str, Path]) -> Iterator[str]:
    for node in _running(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in modules)
        elif isinstance(node, ast.ImportFrom) and node.module in modules:
            for alias in node.names:
                submodule = f"{node.module}.{alias.name}"
                yield submodule if submodule in modules else node.module


def _running(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those under `if TYPE_CHECKING:`."""
    for node in ast.iter_child_nodes(tree):
        yield node
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for other in node.orelse:
                yield other
                yield from _running(other)
        else:
            yield from _running(node)


def test_no_modules_import_each_other_in_a_circle():
    assert cycles(module_imports(ROOT, "fer_bench")) == []


def test_information_stands_below_metrics_methods_and_reports():
    imports = module_imports(ROOT, "fer_bench")
    above = {"baselines", "cli", "metrics", "reports", "runs", "sweep", "training"}
    climbing = {
        (name, target)
        for name in within(imports, "fer_bench.information")
        for target in imports[name]
        if target.removeprefix("fer_bench.").split(".")[0] in above
    }
    assert climbing == set()


def test_a_circle_is_detected_also_inside_functions_and_through_packages(tmp_path):
    files = {
        "__init__.py": "",
        "a.py": "from typing import TYPE_CHECKING\nfrom demo import b\n",
        "b.py": "def f():\n    from demo.sub import c\n",
        "sub/__init__.py": "",
        "sub/c.py": "import demo.a\n",
        "d.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from demo.e import E\n",
        "e.py": "from demo.d import D\n",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    imports = module_imports(tmp_path, "demo")
    assert imports["demo.b"] == {"demo.sub.c"}
    assert imports["demo.d"] == set()
    assert cycles(imports) == [["demo.a", "demo.b", "demo.sub.c"]]
    assert cycles(within(imports, "demo.sub")) == []
