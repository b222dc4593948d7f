"""The documents for other programs are current, valid, and say what `decode` does."""

import copy
import json
from pathlib import Path
from typing import Any, get_args

import pytest
from jsonschema import Draft7Validator, Draft202012Validator

from ledger import broker, responder
from ledger.database import get_db_session
from ledger.errors import Refused
from ledger.events import EVENT_TYPES
from ledger.fields import KINDS
from ledger.message_size import MESSAGE_BYTES
from ledger.messages import SUBJECT_PREFIX, check_subject, decode
from ledger.receipts import Receipt, Status, encode_receipts
from ledger.schemas import ASYNCAPI_FILE, MESSAGES_FILE, WAIT_SECONDS, asyncapi, messages_schema, text_of, write
from ledger.settings import Database
from projections import queries
from projections.projector import Projector
from tests.corpus import corpus, well_formed_messages
from tests.corpus_messages import Case, bar, bars_fields
from tests.facts import fact, recorded

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
ASYNCAPI_SCHEMA = Path(__file__).with_name("asyncapi-3.0.0.schema.json")

# What a schema cannot say, or what the library's `$` lets through; the ledger's receipt names each of them.
BEYOND_A_SCHEMA = (
    "a 1d bar",
    "a bar twice",
    "a dividend not at 00:00Z",
    "a holding of its own currency",
    "a key that stands twice",
    "a number of 309 digits",
    "a lone",
    "a price of a line break",
    "a second 1d bar",
    "a split a microsecond early",
    "a split at midnight",
    "a split not at 00:00Z",
    "a statement about a bot named a line break",
    "a statement about another",
    "a statement of the symbol of a line break",
    "a symbol that is",
    "a time that is a line break",
    "a time that is after the year 9999",
    "a time that is before the year 1",
    "a time that is month 13",
    "a time that is the 29th",
    "a time that is the 30th",
    "a time that is the year 0",
    "a void for a lone",
    "a void for NUL",
    "a void of a fact of a bot named a line break",
    "a void of another's fact",
    "a void of the id a line break",
    "an adjustment for a lone",
    "an adjustment for NUL",
    "an adjustment of its own currency",
    "an adjustment of the default currency",
    "an id with a line break",
    "bars out of order",
    "ext nested",
    "ext of",
    "high below low",
    "NUL",
    "surrogates",
    "the name",
    "the number 1E+999999999",
    "the number 1e400",
    "the symbol 'A\\n'",
)


def messages_validator() -> Draft202012Validator:
    return Draft202012Validator(messages_schema())


def asyncapi_validator(name: str) -> Draft7Validator:
    """The validator of one of the schemas inside the AsyncAPI document."""
    return Draft7Validator(
        {"allOf": [{"$ref": f"#/components/schemas/{name}"}], "components": asyncapi()["components"]}
    )


def readable(cases: tuple[Case, ...]) -> list[tuple[Case, Any]]:
    """The cases that are JSON at all, by what they say."""
    found = []
    for case in cases:
        try:
            if len(case.data) <= MESSAGE_BYTES:
                found.append((case, json.loads(case.data.decode("utf-8"))))
        except (ValueError, RecursionError):
            continue
    return found


def refused_by_decode(subject: str, message: object) -> bool:
    try:
        decode(subject, json.dumps(message).encode())
    except Refused:
        return True
    return False


def is_a_subject(subject: str) -> bool:
    """Whether anybody may speak there at all; the speaker's subject is no part of the message."""
    try:
        check_subject(subject)
    except Refused:
        return False
    return True


@pytest.mark.parametrize(
    ("name", "document"), [(MESSAGES_FILE, messages_schema()), (ASYNCAPI_FILE, asyncapi())], ids=["schema", "asyncapi"]
)
def test_the_committed_document_is_what_the_types_say_today(
    name: str, document: dict[str, Any], tmp_path: Path
) -> None:
    committed = (DOCS / name).read_text(encoding="utf-8")
    assert committed == text_of(document), "run: python -m ledger.schemas"
    write(tmp_path)
    assert (tmp_path / name).read_text(encoding="utf-8") == committed


def test_the_json_schema_is_valid() -> None:
    Draft202012Validator.check_schema(messages_schema())


def test_the_asyncapi_document_is_valid_by_asyncapis_own_schema() -> None:
    schema = json.loads(ASYNCAPI_SCHEMA.read_text(encoding="utf-8"))
    Draft7Validator.check_schema(schema)
    assert [error.message for error in Draft7Validator(schema).iter_errors(asyncapi())] == []


def test_asyncapis_own_schema_does_find_mistakes() -> None:
    validator = Draft7Validator(json.loads(ASYNCAPI_SCHEMA.read_text(encoding="utf-8")))
    for section, key, value in (
        ("info", "titel", "x"),
        ("channels", "bots", {"adress": "x"}),
        ("operations", "record_bots", {"action": "take"}),
    ):
        broken = copy.deepcopy(asyncapi())
        broken[section][key] = value
        assert not validator.is_valid(broken)


def test_every_schema_inside_the_asyncapi_document_is_valid() -> None:
    for schema in asyncapi()["components"]["schemas"].values():
        Draft7Validator.check_schema(schema)


def references(node: object) -> set[str]:
    if isinstance(node, list):
        return {found for inner in node for found in references(inner)}
    if isinstance(node, dict):
        own = {node["$ref"]} if isinstance(node.get("$ref"), str) else set()
        return own | {found for inner in node.values() for found in references(inner)}
    return set()


@pytest.mark.parametrize("document", [messages_schema(), asyncapi()], ids=["schema", "asyncapi"])
def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    for reference in references(document):
        node = document
        for step in reference.removeprefix("#/").split("/"):
            assert step in node, reference
            node = node[step]


def test_every_type_and_each_of_its_fields_is_described() -> None:
    schema = messages_schema()
    assert set(schema["discriminator"]["mapping"]) == set(EVENT_TYPES)
    for model in EVENT_TYPES.values():
        definition = schema["$defs"][model.__name__]
        assert definition["additionalProperties"] is False
        assert set(definition["properties"]) == set(model.model_fields)
        addresses = {kind for kind in KINDS if f"{SUBJECT_PREFIX}{kind}.<" in definition["description"]}
        assert addresses == set(model.kinds)


def test_every_type_is_a_message_on_the_channel_of_those_who_may_say_it() -> None:
    channels = asyncapi()["channels"]
    for type_, model in EVENT_TYPES.items():
        assert {kind for kind in KINDS if type_ in channels[kind]["messages"]} == set(model.kinds)


def test_everybody_who_may_speak_has_a_channel_and_an_operation_on_it() -> None:
    document = asyncapi()
    for kind in KINDS:
        assert document["operations"][f"record_{kind}"]["channel"] == {"$ref": f"#/channels/{kind}"}
        assert document["channels"][kind]["address"].startswith(f"{SUBJECT_PREFIX}{kind}.{{")


def test_the_summary_of_each_message_is_one_sentence_on_one_line() -> None:
    for name, message in asyncapi()["components"]["messages"].items():
        assert message["summary"].isprintable(), name
        assert message["summary"].endswith((".", "?")), name


@pytest.mark.parametrize(
    "case", [case for case in corpus() if case.outcome == "recorded"], ids=lambda case: case.name[:50]
)
def test_what_is_recorded_is_valid(case: Case) -> None:
    message = json.loads(case.data)
    assert [error.message for error in messages_validator().iter_errors(message)] == []
    name = EVENT_TYPES[message["type"]].__name__
    assert [error.message for error in asyncapi_validator(name).iter_errors(message)] == []


def test_what_is_refused_is_invalid_but_for_what_a_schema_cannot_say() -> None:
    malformed = tuple(
        case for case in corpus() if case.outcome == "rejected" and case.field != "type" and is_a_subject(case.subject)
    )
    validator = messages_validator()
    taken = [case.name for case, message in readable(malformed) if validator.is_valid(message)]
    assert [name for name in taken if not name.startswith(BEYOND_A_SCHEMA)] == []
    assert [start for start in BEYOND_A_SCHEMA if not any(name.startswith(start) for name in taken)] == []
    assert len(taken) < len(malformed) / 4


def test_what_is_parked_is_not_valid_in_this_version() -> None:
    parked = [message for case, message in readable(corpus()) if case.outcome == "parked"]
    assert parked
    assert not any(messages_validator().is_valid(message) for message in parked)


def test_schema_and_decode_agree_on_which_fields_are_needed_and_which_may_be_null() -> None:
    validator = messages_validator()
    for subject, message in well_formed_messages():
        for field in EVENT_TYPES[message["type"]].model_fields:
            if field == "type":
                continue
            for changed in (
                {name: value for name, value in message.items() if name != field},
                {**message, field: None},
            ):
                assert validator.is_valid(changed) is not refused_by_decode(subject, changed), (message["type"], field)


def test_a_receipt_of_each_status_is_valid() -> None:
    validator = asyncapi_validator("Receipts")
    said: list[Status] = [status for status in get_args(Status) if status != "unconfirmed"]
    receipts = [Receipt("bots.a", "x", status, 1, b"h" * 32, b"d" * 32, "why") for status in said]
    for message in encode_receipts([*receipts, Receipt("market.y", "", "rejected", reason="message: is not JSON")]):
        assert [error.message for error in validator.iter_errors(json.loads(message))] == []


@pytest.mark.parametrize(
    "question",
    [
        {"query": "portfolio"},
        {"query": "portfolio", "position": 4711, "timeout_seconds": 5},
        {"query": "portfolio", "timeout_seconds": WAIT_SECONDS},
        {"query": "weather"},
        {},
        {"query": "portfolio", "position": -1},
        {"query": "portfolio", "position": "1"},
        {"query": "portfolio", "timeout_seconds": WAIT_SECONDS + 1},
    ],
    ids=str,
)
def test_the_ledger_takes_exactly_the_questions_that_the_document_describes(question: dict[str, object]) -> None:
    try:
        responder.read_question(f"{broker.QUERIES_PREFIX}bots.a", json.dumps(question).encode())
        taken = True
    except Refused:
        taken = False
    assert asyncapi_validator("Question").is_valid(question) is taken


def test_a_portfolio_of_real_books_is_valid(sqlite_database: Database) -> None:
    bought = {"side": "buy", "quantity": "3." + "3" * 30, "price": "412." + "7" * 30}
    recorded(
        sqlite_database,
        fact("r", type="bot_registered", opening={"USD": "9" * 20, "EUR": "1"}),
        *(fact(symbol.strip("^"), type="trade", symbol=symbol, **bought) for symbol in ("QQQ", "^XAU")),
        fact("b", "market.y", **bars_fields([bar(0)])),
    )
    Projector(sqlite_database).catch_up()
    with get_db_session(sqlite_database) as session:
        answer = json.loads(json.dumps(queries.portfolio(session, "RSIBot")))
    assert set(answer["holdings"]) == {"QQQ", "^XAU"}
    assert [error.message for error in asyncapi_validator("Portfolio").iter_errors(answer)] == []
    assert answer.keys() <= asyncapi()["components"]["schemas"]["Portfolio"]["properties"].keys()


def test_the_addresses_are_those_of_the_broker() -> None:
    channels = asyncapi()["channels"]
    assert channels["receipts"]["address"].startswith(broker.RECEIPTS_PREFIX)
    assert channels["queries"]["address"].startswith(broker.QUERIES_PREFIX)
    assert {channels[kind]["address"].rpartition(".")[0] + ".*" for kind in KINDS} == set(broker.SUBJECTS)
