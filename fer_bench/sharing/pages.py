"""Static pages: what a verification found, and the board of result files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fer_bench.data.pages import render, write_page

if TYPE_CHECKING:
    from fer_bench.sharing.verify import Verification

_VERIFICATION = """
<ul>{% for line in result.verdict %}<li{% if not result.passed %} class="warn"{% endif %}>{{ line }}
</li>{% endfor %}</ul>
{% if result.contradictions %}<h2>Contradictions</h2>
<ul>{% for c in result.contradictions %}<li>{{ c }}</li>{% endfor %}</ul>{% endif %}
{% if result.not_checked %}<h2>Not checked</h2>
<ul>{% for c in result.not_checked %}<li>{{ c }}</li>{% endfor %}</ul>{% endif %}
{% if result.cells %}<h2>Trained again</h2><div class="scroll"><table>
<tr><th>run<th>verdict<th>difference of E<th>same class<th>accuracy, then<th>again<th>seconds</tr>
{% for cell in result.cells %}<tr><td>{{ cell.run }}
<td>{{ cell.reason or ("consistent" if cell.consistent else "not consistent") }}
<td>{{ "%.2g"|format(cell.difference) if cell.difference is not none }}
<td>{{ "%.1f %%"|format(100 * cell.agreement) if cell.agreement is not none }}
<td>{{ "%.1f %%"|format(100 * cell.accuracy[0]) if cell.accuracy }}
<td>{{ "%.1f %%"|format(100 * cell.accuracy[1]) if cell.accuracy }}
<td>{{ "%.0f"|format(cell.seconds) }}</tr>{% endfor %}</table></div>{% endif %}
<h2>Runs</h2><div class="scroll"><table><tr><th>run<th>manifest<th>scores</tr>
{% for run, hashes in result.runs.items() %}<tr><td>{{ run }}
<td><code>{{ hashes.get("manifest", "")[:16] }}</code>
<td><code>{{ hashes.get("scores", "")[:16] }}</code></tr>{% endfor %}</table></div>
<p class="soft">A folder can show that its numbers follow from its arrays, and retraining that the
arrays follow from the method. It cannot show that seeds, folds or settings were not chosen for
their outcome, nor that the pictures are of whom the labels name.</p>
"""


def write_verification_page(result: Verification, file: Path) -> Path:
    """Write what a verification found as one page."""
    machine = ", ".join(f"{name} {version}" for name, version in result.environment.items())
    lead = (
        f"{result.created}{f', by {result.by}' if result.by else ''}; {result.seconds:.0f} s",
        machine,
    )
    body = render(_VERIFICATION, result=result)
    return write_page(file, f"Verification of {result.source}", body, lead=lead)
