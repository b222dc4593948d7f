"""Sizes, names, docstrings and handlers: the rules of STYLE sections 3 to 9 that a machine can keep."""

import ast
import re

import pytest

from tests.house.source import PACKAGES, Source, has_reason, sources

FILE_LINES = 300
FUNCTION_LINES = 50
OURS = sources(*PACKAGES)
EVERYTHING = sources(*PACKAGES, "tests", "benchmarks", "deploy")

# A file may be longer where cutting it would part one thought; the reason stands here.
LONG_FILES: dict[str, str] = {}
BANNED_FILES = {"utils.py", "helpers.py", "common.py", "base.py"}
BANNED_CLASSES = re.compile(r"Manager$|Factory$|^Abstract|Repository$|UnitOfWork$")
SHORT_WORDS = re.compile(r"(^|_)(qty|amt|ts|cfg|ctx|mgr|tmp|evt|msg)(_|$)")


def each(found: dict[str, Source]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("source", found.values(), ids=found.keys())


@each(dict(EVERYTHING))
def test_a_file_holds_one_concept_in_under_300_lines(source: Source) -> None:
    if source.where not in LONG_FILES:
        assert len(source.lines) <= FILE_LINES


def test_only_long_files_are_excused_for_their_length() -> None:
    excused = {source.where: len(source.lines) for source in EVERYTHING.values() if source.where in LONG_FILES}
    assert excused.keys() == LONG_FILES.keys()
    assert [where for where, length in excused.items() if length <= FILE_LINES] == []


@each(dict(EVERYTHING))
def test_a_function_is_one_thought_of_at_most_50_lines(source: Source) -> None:
    # A corpus of cases is a table, not a thought: its rows are data.
    tables = {"tests.corpus_malformed", "tests.corpus_market", "tests.corpus_values", "tests.corpus"}
    if source.name in tables:
        return
    long = [
        f"{function.name}: {length} lines"
        for function in source.functions()
        if (length := (function.end_lineno or 0) - function.lineno + 1) > FUNCTION_LINES
    ]
    assert long == []


@each(dict(EVERYTHING))
def test_no_file_is_called_after_having_no_concept(source: Source) -> None:
    assert source.path.name not in BANNED_FILES


@each(dict(OURS))
def test_no_class_is_a_manager_a_factory_or_abstract(source: Source) -> None:
    names = [node.name for node in ast.walk(source.tree()) if isinstance(node, ast.ClassDef)]
    assert [name for name in names if BANNED_CLASSES.search(name)] == []


@each(dict(OURS))
def test_names_are_whole_words(source: Source) -> None:
    names = {
        node.arg if isinstance(node, ast.arg) else node.name
        for node in ast.walk(source.tree())
        if isinstance(node, ast.arg | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    }
    assert [name for name in sorted(names) if SHORT_WORDS.search(name)] == []


@each(dict(OURS))
def test_everything_public_begins_with_a_sentence_that_says_what_it_gives(source: Source) -> None:
    silent = [] if ast.get_docstring(source.tree()) or not source.text.strip() else ["the module"]
    waiting: list[ast.AST] = [source.tree()]
    while waiting:
        for node in ast.iter_child_nodes(waiting.pop()):
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and node.name[0] != "_":
                if not ast.get_docstring(node):
                    silent.append(node.name)
                if isinstance(node, ast.ClassDef):
                    waiting.append(node)
    assert [name for name in silent if name not in OVERRIDDEN] == []


# Names that another library gives to what it calls: it documents them.
OVERRIDDEN = {
    "bind_processor",
    "column_expression",
    "downgrade",
    "load_dialect_impl",
    "process_bind_param",
    "process_result_value",
    "result_processor",
}


@each(dict(OURS))
def test_nothing_catches_everything_unless_it_raises_again_or_says_why(source: Source) -> None:
    handlers = [node for node in ast.walk(source.tree()) if isinstance(node, ast.ExceptHandler)]
    assert [node.lineno for node in handlers if node.type is None] == [], "a bare except"
    kept = [
        node.lineno
        for node in handlers
        if _names(node.type) & {"Exception", "BaseException"}
        and not (isinstance(node.body[-1], ast.Raise) and node.body[-1].exc is None)
        and not has_reason(source, node.lineno)
    ]
    assert kept == [], "only the outermost loops may go on after anything: say so on the line"


def _names(node: ast.expr | None) -> set[str]:
    return {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)} if node else set()


@each(dict(EVERYTHING))
def test_a_type_ignore_names_its_code_and_its_reason(source: Source) -> None:
    pattern = re.compile(r"#\s*type:\s*ignore(?P<code>\[[a-z-, ]+\])?(?P<rest>.*)")
    for number, line in enumerate(source.lines, 1):
        found = pattern.search(line)
        if found and source.name != __name__:
            assert found["code"], f"{source.where}:{number} ignores without a code"
            assert found["rest"].strip(" #-–—"), f"{source.where}:{number} ignores without a reason"


@each({name: source for name, source in EVERYTHING.items() if name.rpartition(".")[2].startswith("test_")})
def test_tests_wait_on_conditions_and_never_just_sleep(source: Source) -> None:
    tree = source.tree()
    looking = {id(node) for loop in ast.walk(tree) if isinstance(loop, ast.While) for node in ast.walk(loop)}
    slept = [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("time.sleep", "sleep", "asyncio.sleep")
        if id(node) not in looking
    ]
    assert slept == [], "a pause is only for the next look at a condition, inside its loop"
