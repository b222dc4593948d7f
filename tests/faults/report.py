"""The report of a soak: what was survived, and in what state everything came to rest."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Report:
    """One soak; `problems` is what should not have been, empty where all is well."""

    world: str
    seed: int
    seconds: float
    faults: Counter[str] = field(default_factory=Counter)
    missed: Counter[str] = field(default_factory=Counter)
    facts: int = 0
    receipts: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    refused_to_the_face: int = 0
    told_of_no_room: int = 0
    restarts: Counter[str] = field(default_factory=Counter)
    greatest_lag: int = 0
    greatest_waiting: int = 0
    drain_seconds: float = 0.0
    problems: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """The report in plain lines."""
        return [
            f"soak on {self.world}, seed {self.seed}, {self.seconds:g} s of faults",
            f"faults survived   {sum(self.faults.values())}: {_counts(self.faults)}",
            f"missed            {_counts(self.missed)}",
            f"facts             {self.facts}",
            f"receipts          {sum(self.receipts.values())}: {_counts(self.receipts)}",
            f"rejected          {_counts(self.rejected)}; refused to the face: {self.refused_to_the_face}",
            f"no room, told     {self.told_of_no_room}",
            f"started again     {_counts(self.restarts)}",
            f"greatest lag      {self.greatest_lag} facts and notes, {self.greatest_waiting} facts in outboxes",
            f"drained in        {self.drain_seconds:.1f} s",
            *(f"PROBLEM           {problem}" for problem in self.problems),
            "all invariants hold" if not self.problems else f"{len(self.problems)} problems",
            f"again             python -m tests.faults.soak --on {self.world} --seed {self.seed} "
            f"--minutes {self.seconds / 60:g}",
        ]

    def write(self, path: Path) -> str:
        """Write it to a file; the text."""
        text = "\n".join(self.lines()) + "\n"
        path.write_text(text)
        return text


def _counts(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {number}" for name, number in sorted(counts.items())) or "nothing"
