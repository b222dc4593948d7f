"""The source as the house tests read it: parsed modules of the two packages, and who imports whom."""

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("ledger", "projections")
PURE = (
    "ledger.amounts",
    "ledger.chain",
    "ledger.envelope",
    "ledger.errors",
    "ledger.events",
    "ledger.fields",
    "ledger.market_events",
    "ledger.messages",
    "ledger.refusals",
    "projections.altering",
    "projections.attribution",
    "projections.beancount",
    "projections.beancount_entries",
    "projections.beancount_lots",
    "projections.beancount_names",
    "projections.book",
    "projections.bookkeeping",
    "projections.commons",
    "projections.days",
    "projections.differences",
    "projections.disputes",
    "projections.executions",
    "projections.explaining",
    "projections.figures",
    "projections.folding",
    "projections.lots",
    "projections.market",
    "projections.money_weighted",
    "projections.points",
    "projections.profit",
    "projections.results",
    "projections.returns",
    "projections.risk",
    "projections.rows",
    "projections.series",
    "projections.snapshots",
    "projections.standing",
    "projections.standing_rows",
    "projections.statements",
    "projections.steps",
    "projections.telling",
    "projections.voids",
    "projections.worth",
)
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Source:
    """One file of Python: its module's name, its lines, its tree."""

    name: str
    path: Path
    text: str

    @property
    def where(self) -> str:
        """The file as it is called in messages."""
        return self.path.relative_to(ROOT).as_posix()

    @property
    def lines(self) -> list[str]:
        """The lines, the first one at index 0."""
        return self.text.splitlines()

    def tree(self) -> ast.Module:
        """The syntax tree."""
        return ast.parse(self.text, self.where)

    def functions(self) -> Iterator[Function]:
        """Every function and method, the inner ones too."""
        return (node for node in ast.walk(self.tree()) if isinstance(node, Function))


@cache
def sources(*folders: str) -> Mapping[str, Source]:
    """The Python files below these folders, by module name."""
    found = {}
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            found[name] = Source(name, path, path.read_text(encoding="utf-8"))
    return found


def imports(source: Source, node: ast.stmt) -> list[str]:
    """The modules that an import statement names; `from ledger import log` names ledger.log."""
    match node:
        case ast.Import():
            return [alias.name for alias in node.names]
        case ast.ImportFrom():
            assert node.level == 0, f"{source.where}:{node.lineno} imports relatively: name the module in full"
            module = node.module or ""
            known = sources(*PACKAGES)
            inner = {f"{module}.{alias.name}" for alias in node.names} & known.keys()
            return sorted(inner) or [module]
        case _:
            return []


def imported(source: Source) -> set[str]:
    """All modules that a file imports, at its top or inside functions."""
    return {name for node in ast.walk(source.tree()) if isinstance(node, ast.stmt) for name in imports(source, node)}


def reachable(name: str) -> dict[str, str]:
    """Every module that is loaded with this one, of ours and of others, and through which of ours."""
    known = sources(*PACKAGES)
    found: dict[str, str] = {}
    waiting = [name]
    while waiting:
        current = waiting.pop()
        for inner in imported(known[current]):
            if inner not in found:
                found[inner] = current
                if inner in known:
                    waiting.append(inner)
    return found


def has_reason(source: Source, line: int) -> bool:
    """Whether the line, or one above its block of imports, has a comment that says why; a bare noqa says nothing."""
    trailing = re.search(r"#\s*(?:noqa: [A-Z0-9, ]+)?[-–—: ]*(?P<reason>.*)$", source.lines[line - 1])
    if trailing and trailing["reason"].strip():
        return True
    above = [text.strip() for text in reversed(source.lines[: line - 1])]
    return next((text for text in above if not text.startswith(("import ", "from "))), "").startswith("#")
