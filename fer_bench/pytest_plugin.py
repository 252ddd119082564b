"""The pytest plugin: stored values as a fixture, and one line for each broken law at the end.

pytest loads it in every project that has FER-Bench installed, so that it imports nothing heavy.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Mapping
from typing import Any

import pytest

from fer_bench.testing import LawBroken, compare_with_stored

_PROPERTY = "fer-bench law"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --fer-baseline-write."""
    parser.getgroup("fer-bench").addoption(
        "--fer-baseline-write",
        action="store_true",
        help="store the values of tests marked fer_baseline instead of comparing them",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line(
        "markers",
        "fer_baseline(**tolerances): values of the test may leave the stored ones by so much; "
        "at_least, at_most and within of fer_bench.testing",
    )


@pytest.fixture
def fer_baseline(request: pytest.FixtureRequest) -> Callable[[Mapping[str, Any]], None]:
    """Compare values with those stored beside the test file, in fer_baselines/<test>.json.

    The marker `fer_baseline` states one tolerance for each name.
    """
    marker = request.node.get_closest_marker("fer_baseline")
    if marker is None:
        raise LawBroken(
            "law broken: no tolerances: mark the test with "
            "@pytest.mark.fer_baseline(accuracy=at_least(0.02))"
        )
    name = re.sub(r"[^\w.-]+", "-", f"{request.path.stem}.{request.node.name}").strip("-")
    file = request.path.parent / "fer_baselines" / f"{name}.json"
    write = request.config.getoption("--fer-baseline-write")

    def compare(values: Mapping[str, Any]) -> None:
        __tracebackhide__ = True
        compare_with_stored(values, file, marker.kwargs, write=write)

    return compare


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note the line of a broken law, where workers of pytest-xdist hand it on."""
    report = yield
    if call.excinfo is not None and isinstance(call.excinfo.value, LawBroken):
        report.user_properties.append((_PROPERTY, call.excinfo.value.line))
    return report


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say once more, at the end, which laws were broken."""
    lines = [
        f"{report.nodeid}: {text}"
        for report in terminalreporter.stats.get("failed", ())
        for name, text in getattr(report, "user_properties", ())
        if name == _PROPERTY
    ]
    if lines:
        terminalreporter.section("fer-bench")
        for line in lines:
            terminalreporter.write_line(line)
