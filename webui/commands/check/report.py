"""The report of a check-up: lines to read, faults that keep the site from working, warnings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from webui.oauth_manager.values import Struct

Say = Callable[[str], None]


class Finding(Struct, frozen=True):
    """A fault or warning: ``what`` is wrong, and the ``cure``, a sentence each without a secret."""

    level: Literal["fault", "warning"]
    what: str
    cure: str


@dataclass(slots=True)
class Report:
    """Printer of each line as it is found, and keeper of the findings."""

    say: Say
    findings: list[Finding] = field(default_factory=list)

    def fault(self, what: str, cure: str, indent: int = 2) -> None:
        self._add(Finding("fault", what, cure), indent)

    def warning(self, what: str, cure: str, indent: int = 2) -> None:
        self._add(Finding("warning", what, cure), indent)

    def _add(self, finding: Finding, indent: int) -> None:
        self.findings.append(finding)
        self.say(f"{' ' * indent}{finding.level.upper()}: {finding.what} {finding.cure}")

    def is_well(self, *, strict: bool) -> bool:
        """Return whether there is no fault, and if ``strict`` no warning either."""
        return not [f for f in self.findings if strict or f.level == "fault"]

    def sum_up(self) -> None:
        counted = [
            f"{number} {level}{'' if number == 1 else 's'}"
            for level in ("fault", "warning")
            if (number := sum(f.level == level for f in self.findings))
        ]
        self.say(f"Found: {', '.join(counted) or 'nothing wrong'}.")
