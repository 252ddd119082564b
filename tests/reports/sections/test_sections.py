"""A section is one file and one partial template."""

import re
from importlib.resources import files

from fer_bench.reports.sections import sections

TEMPLATES = files("fer_bench.reports") / "templates" / "sections"


def test_sections_stand_in_the_order_of_the_page():
    assert [section.name for section in sections()] == [
        "change", "headline", "failed", "trade_off", "board", "claims", "differences",
        "confusions", "maps", "confounding", "drawings", "methods", "failures", "groups",
        "answers", "data", "repeat", "published", "limits",
    ]  # fmt: skip


def test_every_section_has_its_template_and_every_template_its_section():
    partials = {p.name for p in TEMPLATES.iterdir() if not p.name.startswith("_")}
    assert partials == {f"{section.name}.html.j2" for section in sections()}


def test_no_score_key_is_typed_in_a_template():
    from fer_bench.metrics.metric import score_specs

    keys = [key for key in score_specs() if "<" not in key]
    for path in TEMPLATES.iterdir():
        text = path.read_text("utf-8")
        assert not [key for key in keys if key in text]


def test_what_scrolls_sideways_can_be_reached_by_keyboard():
    for path in TEMPLATES.iterdir():
        for tag in re.findall(
            r'<\w+ class="(?:[\w -]* )?(?:scroll|wide)(?: [\w -]*)?"[^>]*>', path.read_text("utf-8")
        ):
            assert 'tabindex="0"' in tag, (path.name, tag)
