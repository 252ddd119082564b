"""The benchmark as one self-contained HTML page: tables and inline SVG, nothing fetched."""

from __future__ import annotations

import io
import math
from pathlib import Path

import pandas as pd

from fer_bench.data.pages import render
from fer_bench.data.pages import write_page as write_data_page
from fer_bench.information.bench import by_estimator, by_failure, by_task, varying

TITLE = "Mutual information: estimators on tasks of known truth"
STYLE = """
td, th { text-align: right } td:first-child, th:first-child, td.text { text-align: left }
th { background: var(--paper); position: sticky; top: 0 }
"""
TEMPLATE = """
<p>{{ count }} estimates, {{ failed }} failed{% if skipped %}; {{ skipped }} more were skipped, as
the estimator does not read such sides{% endif %}. Values in nats. "Right" is within 0.05 nats or
5 % of the truth; "covers" is the share of 95 % intervals that hold the truth. Values that are off
by more are in red.</p>
<h2>By estimator</h2><div class="scroll"><table>
<tr><th>estimator</th>{% for v in variants %}<th>{{ v }}</th>{% endfor %}<th>n</th><th>tasks</th>
<th>seeds</th><th>mean |error|</th><th>worst</th><th>right</th><th>covers</th><th>CPU s</th>
<th>failed</th><th>skipped</th></tr>
{% for r in estimators %}<tr><td>{{ r.estimator }}</td>
{% for v in variants %}<td>{{ r[v] }}</td>{% endfor %}<td>{{ r.n }}</td><td>{{ r.tasks }}</td>
<td>{{ r.seeds }}</td><td>{{ number(r.mae, "%.3f") }}</td><td>{{ number(r.worst, "%.3f") }}</td>
<td>{{ number(100 * r.right, "%.0f %%") }}</td><td>{{ number(100 * r.covers, "%.0f %%") }}</td>
<td>{{ number(r.cpu_seconds, "%.1f") }}</td><td>{{ r.failed }}</td>
<td>{{ r.skipped }}</td></tr>{% endfor %}
</table></div>
{% if failures %}<h2>Failures</h2><div class="scroll"><table>
<tr><th>estimator</th><th>error</th><th>tasks</th><th>failed</th></tr>
{% for r in failures %}<tr><td>{{ r.estimator }}</td><td class="text">{{ r.error }}</td>
<td class="text">{{ r.tasks }}</td><td>{{ r.failed }}</td></tr>{% endfor %}
</table></div>{% endif %}
{% for figure in figures %}<h2>{{ figure.title }}</h2>{{ figure.svg|safe }}{% endfor %}
<h2>By task</h2><div class="scroll"><table>
<tr><th>estimator</th>{% for v in variants %}<th>{{ v }}</th>{% endfor %}<th>task</th><th>n</th>
<th>truth</th><th>mean</th><th>bias</th><th>sd</th><th>MSE</th><th>CPU s</th><th>peak MB</th></tr>
{% for r in tasks %}<tr><td>{{ r.estimator }}</td>
{% for v in variants %}<td>{{ r[v] }}</td>{% endfor %}<td class="text">{{ r.task }}</td>
<td>{{ r.n }}</td><td>{{ number(r.truth, "%.3f") }}</td><td>{{ number(r["mean"], "%.3f") }}</td>
<td{% if r.off %} class="warn"{% endif %}>{{ number(r.bias, "%+.3f") }}</td>
<td>{{ number(r.sd, "%.3f") }}</td><td>{{ number(r.mse, "%.4f") }}</td>
<td>{{ number(r.cpu_seconds, "%.1f") }}</td><td>{{ number(r.peak_mb, "%.0f") }}</td></tr>
{% endfor %}</table></div>
"""


def write_page(results: pd.DataFrame, path: Path) -> None:
    """Write benchmark results (`bench.read`) as one HTML page."""
    detail = by_task(results)
    detail["off"] = detail["bias"].abs() > (0.05 * detail["truth"]).clip(lower=0.05)
    variants = varying(results)
    figures = [
        {"title": f"Estimate against truth, n = {n:,}", "svg": _figure(part, variants)}
        for n, part in detail.groupby("n")
    ]
    skipped = results["skipped"].notna()
    body = render(
        TEMPLATE,
        number=_number,
        count=int((~skipped).sum()),
        failed=int((results["value"].isna() & ~skipped).sum()),
        skipped=int(skipped.sum()),
        variants=variants,
        estimators=by_estimator(results).to_dict("records"),
        failures=by_failure(results).to_dict("records"),
        tasks=detail.to_dict("records"),
        figures=figures,
    )
    write_data_page(path, TITLE, body, extra_style=STYLE)


def _number(value: float, form: str) -> str:
    """A number in the given form; a dash where there is none."""
    return "–" if math.isnan(value) else form % value


def _figure(detail: pd.DataFrame, variants: list[str]) -> str:
    """Bias with one standard deviation per task, and CPU time, as one SVG."""
    from matplotlib.figure import Figure

    label = detail["estimator"]
    for variant in variants:
        label = label + f", {variant} " + detail[variant].astype(str)
    detail = detail.assign(label=label)
    names = list(dict.fromkeys(detail["task"]))
    labels = list(dict.fromkeys(detail["label"]))
    figure = Figure(figsize=(10, 1.5 + 0.24 * len(names)), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=[2, 1])
    for i, (label, part) in enumerate(detail.groupby("label", sort=False)):
        place = [names.index(t) + 0.6 * ((i + 0.5) / len(labels) - 0.5) for t in part["task"]]
        left.errorbar(
            part["bias"], place, xerr=part["sd"].fillna(0), fmt="o", ms=3, lw=1, label=label
        )
        right.plot(part["cpu_seconds"].clip(lower=1e-3), place, "o", ms=3)
    left.axvline(0, color="0.4", lw=0.8)
    left.axvspan(-0.05, 0.05, color="0.92", zorder=0)
    left.set_yticks(range(len(names)), names, fontsize=7)
    left.invert_yaxis()
    left.set_xscale("symlog", linthresh=0.1)
    left.set_xlabel("estimate less truth, nats (grey: within 0.05)")
    right.set_xscale("log")
    right.set_xlabel("CPU seconds")
    left.legend(fontsize=7, loc="best")
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    svg = buffer.getvalue()
    return svg[svg.index("<svg") :]
