"""The rooms: who may import whom, by STYLE section 1. What is meant here by an arrow is an import."""

import ast

import pytest

from tests.house.source import PACKAGES, PURE, Source, has_reason, imported, imports, reachable, sources

SOURCES = sources(*PACKAGES)
COMPOSITION_ROOT = (
    "ledger.service",
    "ledger.answering",
    "ledger.follower",
    "ledger.following",
    "ledger.monitor",
    "ledger.scrubber",
    "ledger.scrubbing",
    "ledger.demo",
    "ledger.commands",
)
IMPURE = {"asyncio", "logging", "nats", "sqlalchemy", "sqlite3", "structlog", "threading", "time", "psycopg", "alembic"}
CLOCKS = {"now", "utcnow", "today", "time", "monotonic", "perf_counter", "time_ns", "monotonic_ns"}
WRITING = {"append"}
DOORS = {"ledger.intake", "ledger.quarantine", "ledger.migrations"}


def is_in(name: str, rooms: tuple[str, ...]) -> bool:
    return any(name == room or name.startswith(f"{room}.") for room in rooms)


@pytest.fixture(params=SOURCES.values(), ids=lambda source: source.name)
def source(request: pytest.FixtureRequest) -> Source:
    """Each module in turn."""
    found = request.param
    assert isinstance(found, Source)
    return found


def test_there_is_no_circle() -> None:
    arrows = {name: imported(source) & SOURCES.keys() for name, source in SOURCES.items()}
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " → ".join((*path[path.index(name) :], name))
        if name not in done:
            for inner in sorted(arrows[name]):
                visit(inner, (*path, name))
            done.add(name)

    for name in SOURCES:
        visit(name, ())


def test_the_ledger_never_asks_what_it_means_but_in_the_composition_root(source: Source) -> None:
    if source.name.startswith("ledger") and not is_in(source.name, COMPOSITION_ROOT):
        assert not {name for name in imported(source) if name.startswith("projections")}


def test_only_the_composition_root_knows_the_composition_root(source: Source) -> None:
    if not is_in(source.name, COMPOSITION_ROOT):
        assert not {name for name in imported(source) if is_in(name, COMPOSITION_ROOT)}


def test_projections_never_write_to_the_log(source: Source) -> None:
    if source.name.startswith("projections"):
        assert not imported(source) & DOORS
        names = {
            alias.name
            for node in ast.walk(source.tree())
            if isinstance(node, ast.ImportFrom) and node.module == "ledger.log"
            for alias in node.names
        }
        called = {
            node.attr
            for node in ast.walk(source.tree())
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "log"
        }
        assert not (names | called) & WRITING
        for node in ast.walk(source.tree()):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "get_log_session":
                assert not node.keywords, f"line {node.lineno}: a session that writes to the log"


@pytest.mark.parametrize("room", PURE)
def test_a_pure_room_loads_no_database_network_thread_log_or_clock(room: str) -> None:
    found = {name: through for name, through in reachable(room).items() if name.partition(".")[0] in IMPURE}
    assert not found, f"{room} loads these, each through: {found}"


@pytest.mark.parametrize("room", PURE)
def test_a_pure_room_reads_no_clock(room: str) -> None:
    tree = SOURCES[room].tree()
    read = [
        f"line {node.lineno}: .{node.func.attr}()"
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CLOCKS
    ]
    assert not [call for call in read if ".time()" not in call], read
    assert not [name for name in imported(SOURCES[room]) if name == "time"]


@pytest.mark.parametrize("room", PURE)
def test_a_pure_room_has_no_float_in_it(room: str) -> None:
    floats = [
        f"line {node.lineno}: {node.value}"
        for node in ast.walk(SOURCES[room].tree())
        if isinstance(node, ast.Constant) and isinstance(node.value, float)
    ]
    assert floats == []


def test_the_auditor_shares_nothing_with_what_it_audits(source: Source) -> None:
    if is_in(source.name, ("projections.audit",)):
        ours = {name for name in imported(source) if name.partition(".")[0] in (*PACKAGES, "tests")}
        assert not {name for name in ours if not is_in(name, ("projections.audit",))}
        assert not imported(source) & IMPURE


def test_nothing_is_imported_for_the_type_checker_alone(source: Source) -> None:
    assert "TYPE_CHECKING" not in source.text, "needing it means that an arrow points the wrong way"


def test_imports_inside_functions_are_for_commands_or_say_why(source: Source) -> None:
    if is_in(source.name, ("ledger.commands",)):
        return
    inside = [
        f"{source.where}:{node.lineno}"
        for function in source.functions()
        for node in ast.walk(function)
        if isinstance(node, ast.stmt) and imports(source, node) and not has_reason(source, node.lineno)
    ]
    assert inside == [], "say why in a comment on the line, or import at the top"


def test_the_root_of_the_ledger_brings_nothing_in() -> None:
    assert imported(SOURCES["ledger"]) == set(), "a re-export would drag the broker into the core"
