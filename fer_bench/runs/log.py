"""What happened to a run, one JSON object a line: {"at": time, "event": ..., ...}."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


class RunLog:
    """The log of one run; every attempt adds to it.

    Events: "start" (label, threads), "epoch" (done, total, text), "trained", "scored" (metrics),
    "failed" (reason). Times are UTC.

    >>> import tempfile
    >>> log = RunLog(Path(tempfile.mkdtemp()) / "run.jsonl")
    >>> log.write("epoch", done=1, total=2)
    >>> [line["event"] for line in log.read()]
    ['epoch']
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, event: str, **facts: Any) -> None:
        """Add one event."""
        line = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "event": event, **facts}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")

    def read(self) -> list[dict[str, Any]]:
        """All events; a line that a kill has cut off is left out."""
        if not self.path.is_file():
            return []
        events = []
        for line in self.path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                events.append(json.loads(line))
            except ValueError:
                continue
        return [event for event in events if isinstance(event, dict)]
