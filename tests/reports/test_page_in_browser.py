"""The page in a real browser: no error, no request, nothing hostile runs, nobody is kept out."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest

from fer_bench.reports.page import write_report

pytestmark = [pytest.mark.browser, pytest.mark.slow]

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
REPOSITORY = Path(__file__).parents[2]


def hostile(text: str) -> str:
    """Different names stay different; each tries to leave its place in every way."""
    attack = (
        "\"'></script></style></title><script>window.hacked=1</script>"
        "<img src=x onerror=window.hacked=2><svg onload=window.hacked=3> {{7*7}} ${window.hacked=4}"
        " \u202eright to left\u2066 $\\frac{1}{0}$ \\input{/etc/passwd} %s &lt;b&gt; "
        "\U0001f600 表情\n\t"
    )
    return text + attack


@pytest.fixture(scope="module")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api", reason="no playwright")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("no Chromium here (Debian: apt install chromium)")
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield started
        started.close()


class Opened:
    """A page that was opened, with what it logged and asked for."""

    def __init__(self, browser, path, *, width=1400, scheme="light", script=True):
        self.context = browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme=scheme,
            java_script_enabled=script,
            reduced_motion="reduce",  # or a slow machine still scrolls while the test points
        )
        self.page = self.context.new_page()
        self.errors, self.requests, self.dialogs = [], [], []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", self._log)
        self.page.on("request", self._request)
        self.page.on("dialog", lambda d: (self.dialogs.append(d.message), d.dismiss()))
        self.page.goto(path.resolve().as_uri())

    def _log(self, message):
        if message.type in ("error", "warning"):
            self.errors.append(message.text)

    def _request(self, request):
        if not request.url.startswith(("file:", "data:", "blob:")):
            self.requests.append(request.url)

    def maps_ready(self):
        self.page.evaluate("document.getElementById('maps').scrollIntoView()")
        for _ in range(150):
            if self.page.evaluate("document.documentElement.dataset.maps") == "ready":
                return
            self.page.wait_for_timeout(100)
        pytest.fail(f"the maps never came: {self.errors}")

    def points(self):
        return self.page.evaluate("Bokeh.documents[0].get_model_by_name('points').data.ex.length")

    def chosen(self):
        return self.page.evaluate(
            "Bokeh.documents[0].get_model_by_name('points').selected.indices.length"
        )


@pytest.mark.parametrize(("width", "scheme"), [(1400, "light"), (390, "light"), (1400, "dark")])
def test_page_is_quiet_and_fits(browser, page, width, scheme):
    opened = Opened(browser, page, width=width, scheme=scheme)
    opened.maps_ready()
    assert opened.errors == []
    assert opened.requests == []
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= width
    cut = opened.page.evaluate(
        """() => [...document.querySelectorAll('h1,h2,h3,.card *,.cautions li')]
        .filter(e => e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).display !== 'inline')
        .map(e => e.textContent.slice(0, 60))"""
    )
    assert cut == []
    opened.context.close()


def test_maps_select_alike_in_both_and_recolour(browser, page):
    opened = Opened(browser, page)
    opened.maps_ready()
    assert opened.points() == 112
    assert not opened.page.is_visible("#map-left")  # E and I alone leave no choice
    opened.page.click("#map-legend button >> nth=0")
    assert 0 < opened.chosen() < 112
    assert "faces of" in opened.page.inner_text("#map-picked")
    assert opened.page.locator("#map-picked .face").count() > 0
    opened.page.select_option("#map-colour", "correct")
    assert opened.page.inner_text("#map-legend").split() == ["●", "right", "◆", "wrong"]
    opened.page.select_option("#map-method", label="ERM")
    opened.page.select_option("#map-colour", "column:subject")
    assert opened.page.locator("#map-legend button").count() == 8
    assert opened.errors == []
    opened.context.close()


def test_further_embeddings_take_a_place_on_the_maps(browser, build, two_methods, tmp_path):
    root = build(
        tmp_path / "r", methods=two_methods, seeds=1, folds=2, n_subjects=6, per_subject=8,
        score=False, failure=False, further=True,
    )  # fmt: skip
    opened = Opened(browser, write_report(root, maps="tsne"))
    opened.maps_ready()
    place = "Bokeh.documents[0].get_model_by_name('points').data.%s[0]"
    before = opened.page.evaluate(place % "ix")
    assert opened.page.locator("#map-left option").all_inner_texts() == ["E", "I", "z_exp"]
    opened.page.select_option("#map-right", "z_exp")
    assert opened.page.evaluate(place % "ix") != before
    title = "Bokeh.documents[0].get_model_by_name('I').title.text"
    assert opened.page.evaluate(title).startswith("z_exp")
    opened.page.select_option("#map-method", label="ERM")
    assert opened.page.input_value("#map-right") == "z_exp"
    assert opened.errors == []
    opened.context.close()


def test_hover_shows_the_face(browser, page):
    opened = Opened(browser, page)
    opened.maps_ready()
    place = opened.page.evaluate(
        """() => {
        const view = Bokeh.index.find_one(Bokeh.documents[0].get_model_by_name('E'));
        const data = Bokeh.documents[0].get_model_by_name('points').data;
        const box = view.canvas_view.el.getBoundingClientRect();
        return [box.x + view.frame.x_scale.compute(data.ex[0]),
                box.y + view.frame.y_scale.compute(data.ey[0])]; }"""
    )
    tooltips = """() => { const found = [];
        const walk = (root) => { for (const e of root.querySelectorAll('*')) {
            if (e.shadowRoot) walk(e.shadowRoot);
            if ((e.getAttribute('style') || '').includes('var(--sheet)')) {
                const s = getComputedStyle(e);
                found.push([s.display, s.backgroundImage.slice(0, 16), s.backgroundPosition,
                            e.parentElement.textContent]); } } };
        walk(document); return found; }"""
    tips = []
    for _ in range(40):  # until the face comes, however slow the machine
        opened.page.mouse.move(place[0] - 3, place[1])
        opened.page.mouse.move(*place, steps=4)
        opened.page.wait_for_timeout(250)
        tips = opened.page.evaluate(tooltips)
        if tips:
            break
    assert tips, "no tooltip"
    display, image, _, words = tips[0]
    assert display == "block"
    assert image.startswith('url("data:image/')
    assert "subject S" in words
    assert "@" not in words
    assert opened.errors == []
    opened.context.close()


def test_sorting_and_theme_by_keyboard(browser, page):
    opened = Opened(browser, page)
    first = "document.querySelector('table.board tbody.method th[scope=row] a').textContent"
    head = opened.page.locator("table.board").first.locator("thead button").nth(1)
    assert opened.page.evaluate(first) == "DICE-FER"
    head.focus()
    opened.page.keyboard.press("Enter")  # best first already, so this only marks the column
    opened.page.keyboard.press("Enter")
    assert opened.page.evaluate(first) == "Adversarial branch"
    assert opened.page.locator("th[aria-sort=ascending]").count() == 1
    before = opened.page.evaluate("getComputedStyle(document.body).backgroundColor")
    opened.page.locator("#theme").focus()
    opened.page.keyboard.press("Enter")
    assert opened.page.evaluate("getComputedStyle(document.body).backgroundColor") != before
    opened.context.close()


def test_page_without_script_still_tells(browser, page):
    opened = Opened(browser, page, script=False)
    assert "DICE-FER" in opened.page.inner_text("#headline")
    assert opened.page.locator("table.board").first.is_visible()
    opened.context.close()


def test_print_holds_what_decides_on_few_pages(browser, page, tmp_path):
    opened = Opened(browser, page)
    opened.page.pdf(path=tmp_path / "page.pdf", format="A4")
    assert 2 <= len(re.findall(rb"/Type /Page\b", (tmp_path / "page.pdf").read_bytes())) <= 7
    opened.page.emulate_media(media="print")
    for gone in ("nav", "#methods", "#maps", "#groups"):
        assert not opened.page.locator(gone).is_visible()
    for there in ("#headline", "#trade_off", "#board", "#differences", "#data", "#repeat"):
        assert opened.page.locator(there).is_visible()
    opened.context.close()


def test_a_reader_meets_little_before_the_folds(browser, page):
    opened = Opened(browser, page)
    words = len(opened.page.evaluate("document.body.innerText").split())
    assert words <= 1800
    assert opened.page.evaluate("document.getElementById('methods').offsetTop") <= 6000
    opened.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_violation(browser, page, scheme):
    axe = Path(os.environ.get("AXE_CORE", REPOSITORY / "node_modules/axe-core/axe.min.js"))
    if not axe.is_file():
        pytest.skip("no axe-core here (npm install axe-core, or AXE_CORE=path of axe.min.js)")
    opened = Opened(browser, page, scheme=scheme)
    opened.maps_ready()
    opened.page.evaluate(axe.read_text("utf-8"))
    # Only colours differ in the dark.
    only = ", runOnly: ['color-contrast']" if scheme == "dark" else ""
    evaluation = opened.page.evaluate(f"axe.run(document, {{resultTypes: ['violations']{only}}})")
    serious = [
        (v["id"], [n["html"][:160] for n in v["nodes"]][:3])
        for v in evaluation["violations"]
        if v["impact"] in ("serious", "critical")
    ]
    assert serious == []
    opened.context.close()


def test_nothing_hostile_runs(browser, build, four_methods, tmp_path):
    def spoil(text):
        return hostile(text) + ("long " * 2000 if text == "DICE-FER" else "")

    root = build(
        tmp_path / "results", methods=four_methods, rename=spoil, seeds=1, folds=2, n_subjects=6,
        per_subject=10,
    )  # fmt: skip
    path = write_report(root, maps="tsne")
    opened = Opened(browser, path, width=390)
    opened.maps_ready()
    for colour in opened.page.locator("#map-colour option").all():
        opened.page.select_option("#map-colour", colour.get_attribute("value"))
    opened.page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true })")
    opened.page.click("#map-legend button >> nth=0")
    opened.page.wait_for_timeout(300)
    assert opened.page.evaluate("window.hacked") is None
    assert opened.dialogs == []
    assert opened.errors == []
    assert opened.requests == []
    assert "{{7*7}}" in opened.page.content()
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= 390
    assert "\u202e" not in opened.page.evaluate("document.body.innerText")
    opened.context.close()
