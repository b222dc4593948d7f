"""The messages as documents for other programs: a JSON Schema and an AsyncAPI description, made from the types.

python -m ledger.schemas        writes docs/messages.schema.json and docs/asyncapi.json again
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, get_args

from pydantic.json_schema import models_json_schema

from ledger.bundles import CONTENT_TYPE, LINES_LIMIT
from ledger.events import EVENT_TYPES
from ledger.fields import EXPECTED, ID_PATTERN, KINDS, SUBJECT_PATTERN
from ledger.message_size import MESSAGE_BYTES, VALUES_LIMIT
from ledger.messages import SUBJECT_PREFIX
from ledger.receipts import Status

Document = dict[str, Any]
FORMAT_VERSION = "1"
MESSAGES_FILE = "messages.schema.json"
ASYNCAPI_FILE = "asyncapi.json"
WAIT_SECONDS = 60
_SPEAKERS = {"bots": "bot", "market": "feed", "actions": "source", "ops": "operator"}
_NAME = "1 to 63 of A-Z a-z 0-9 _ -, a letter or digit first"
# Sums and products have more digits than what a message may send.
_AMOUNT: Document = {"type": "string", "pattern": r"^-?(0|[1-9][0-9]*)(\.[0-9]+)?$"}
_AMOUNTS: Document = {"type": "object", "additionalProperties": _AMOUNT}
_HEX: Document = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
_POSITION: Document = {"type": "integer", "minimum": 0, "maximum": 2**63 - 1}


def messages_schema() -> Document:
    """The JSON Schema (2020-12) of every message that this release records."""
    definitions = _definitions("#/$defs/{model}")
    types = {type_: f"#/$defs/{model.__name__}" for type_, model in EVENT_TYPES.items()}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"botledger messages, version {FORMAT_VERSION}",
        "description": (
            f"One message: a JSON object in UTF-8 of at most {MESSAGE_BYTES} bytes and {VALUES_LIMIT} values in its "
            "objects and lists, without duplicate keys. What a schema cannot say (a symbol is not its own currency; "
            "bars rise, no high below a low, 1d bars at 00:00Z; days of the calendar; no NUL, no lone surrogate, no "
            "number of over 308 digits; who may void whose facts, a statement is about a bot, a bot's own about "
            "itself) is checked by the ledger: its receipt names the field."
        ),
        "oneOf": [{"$ref": reference} for reference in types.values()],
        "discriminator": {"propertyName": "type", "mapping": types},
        "$defs": definitions,
    }


def asyncapi() -> Document:
    """The AsyncAPI 3.0 description of the ledger's subjects: facts in, receipts out, questions and answers."""
    schemas = _draft_07(_definitions("#/components/schemas/{model}"))
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "botledger",
            "version": FORMAT_VERSION,
            "description": (
                "Facts go in on a subject that names who speaks; a receipt comes out for each, once it is committed. "
                "What another release may know is parked, what is malformed is rejected; both are answered. "
                f"Several messages of one speaker may travel as one, a line each, at most {LINES_LIMIT}, with the "
                f"header Content-Type: {CONTENT_TYPE}."
            ),
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {**_fact_channels(), **_ledger_channels()},
        "operations": {**_fact_operations(), **_ledger_operations()},
        "components": {
            "messages": {**_fact_messages(), **_ledger_messages()},
            "schemas": {**schemas, **_ledger_schemas()},
        },
    }


def write(directory: Path) -> None:
    """Write both documents into this directory."""
    for name, document in ((MESSAGES_FILE, messages_schema()), (ASYNCAPI_FILE, asyncapi())):
        (directory / name).write_text(text_of(document), encoding="utf-8")


def text_of(document: Document) -> str:
    """The document as it stands in its file."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _definitions(references: str) -> Document:
    """The schema of each type, by the name of its class."""
    _, found = models_json_schema([(model, "validation") for model in EVENT_TYPES.values()], ref_template=references)
    definitions: Document = _tidy(found["$defs"])
    definitions.pop("JsonValue")
    for model in EVENT_TYPES.values():
        subjects = " or ".join(f"{SUBJECT_PREFIX}{kind}.<{_SPEAKERS[kind]}>" for kind in model.kinds)
        definitions[model.__name__]["description"] += f" Published on {subjects}."
    return definitions


def _tidy(node: Any) -> Any:
    """Without pydantic's titles and null defaults; an object whose keys have a pattern takes no others."""
    if isinstance(node, list):
        return [_tidy(inner) for inner in node]
    if not isinstance(node, dict):
        return node
    if str(node.get("$ref", "")).endswith("/JsonValue"):
        return True
    kept = {
        name: _tidy(inner)
        for name, inner in node.items()
        if not (name == "title" and isinstance(inner, str) and not inner.islower())
        and not (name == "default" and inner is None)
        and name != "propertyNames"
    }
    return {**kept, "additionalProperties": False} if "patternProperties" in kept else kept


def _draft_07(node: Any) -> Any:
    """The same schema in draft 7, which AsyncAPI takes."""
    if isinstance(node, list):
        return [_draft_07(inner) for inner in node]
    if not isinstance(node, dict):
        return node
    found = {name: _draft_07(inner) for name, inner in node.items() if name != "prefixItems"}
    if "prefixItems" in node:
        found |= {"items": _draft_07(node["prefixItems"]), "additionalItems": False}
    return found


def _of_kind(kind: str) -> list[str]:
    return [type_ for type_, model in EVENT_TYPES.items() if kind in model.kinds]


def _fact_channels() -> Document:
    return {
        kind: {
            "address": f"{SUBJECT_PREFIX}{kind}.{{{_SPEAKERS[kind]}}}",
            "description": f"What one {_SPEAKERS[kind]} says; a credential for one of these speaks only as itself.",
            "parameters": {_SPEAKERS[kind]: {"description": _NAME}},
            "messages": {type_: _reference("messages", type_) for type_ in _of_kind(kind)},
        }
        for kind in KINDS
    }


def _ledger_channels() -> Document:
    return {
        "receipts": {
            "address": f"{SUBJECT_PREFIX}receipts.{{kind}}.{{name}}",
            "description": "One message for each batch and speaker, after the commit. Only this lets a bot forget.",
            "parameters": {"kind": {"enum": list(KINDS), "description": "who spoke"}, "name": {"description": _NAME}},
            "messages": {"receipts": _reference("messages", "receipts")},
        },
        "queries": {
            "address": f"{SUBJECT_PREFIX}queries.bots.{{bot}}",
            "description": "A bot's questions, by request and reply; not in the stream.",
            "parameters": {"bot": {"description": _NAME}},
            "messages": {"question": _reference("messages", "question")},
        },
        "answers": {
            "address": None,
            "description": "The reply subject that the question names.",
            "messages": {name: _reference("messages", name) for name in ("portfolio", "failure")},
        },
    }


def _fact_operations() -> Document:
    return {
        f"record_{kind}": {
            "action": "receive",
            "channel": {"$ref": f"#/channels/{kind}"},
            "summary": "Record each fact once, and answer with a receipt.",
        }
        for kind in KINDS
    }


def _ledger_operations() -> Document:
    return {
        "give_receipts": {"action": "send", "channel": {"$ref": "#/channels/receipts"}},
        "answer_questions": {
            "action": "receive",
            "channel": {"$ref": "#/channels/queries"},
            "reply": {
                "address": {"location": "$message.header#/reply", "description": "NATS's own reply subject"},
                "channel": {"$ref": "#/channels/answers"},
            },
        },
    }


def _fact_messages() -> Document:
    return {
        type_: {
            "name": type_,
            "summary": str(model.__doc__).partition("\n")[0],
            "payload": _reference("schemas", model.__name__),
        }
        for type_, model in EVENT_TYPES.items()
    }


def _ledger_messages() -> Document:
    summaries = {
        "receipts": "What became of the messages of one speaker, in one batch.",
        "question": "What is the portfolio, once the books are complete up to a position?",
        "portfolio": "The portfolio.",
        "failure": "Why there is no portfolio.",
    }
    return {
        name: {"name": name, "summary": summary, "payload": _reference("schemas", name.capitalize())}
        for name, summary in summaries.items()
    }


def _ledger_schemas() -> Document:
    receipt = {
        "subject": {"type": "string", "pattern": SUBJECT_PATTERN},
        "id": {"type": "string", "description": f"{EXPECTED[ID_PATTERN]}; empty where none could be read"},
        "status": {"type": "string", "enum": [status for status in get_args(Status) if status != "unconfirmed"]},
        "position": {**_POSITION, "description": "of the fact, or of the first under this identity"},
        "hash": {**_HEX, "description": "of the chain at this position"},
        "digest": {**_HEX, "description": "SHA-256 of subject and content; see docs/log.md"},
        "reason": {"type": "string", "description": "why it was not recorded"},
    }
    question = {
        "query": {"type": "string", "const": "portfolio"},
        "position": {**_POSITION, "default": 0, "description": "up to which the answer has to be complete"},
        "timeout_seconds": {"type": "number", "minimum": 0, "maximum": WAIT_SECONDS},
    }
    failure = {
        "error": {"type": "string"},
        "reason": {"type": "string", "enum": ["malformed", "unknown", "timeout"]},
    }
    receipts = {"receipts": {"type": "array", "items": _reference("schemas", "Receipt")}}
    return {
        "Receipts": _object(receipts, "receipts"),
        "Receipt": _object(receipt, "subject", "id", "status"),
        "Question": _object(question, "query"),
        "Portfolio": _portfolio(),
        "Failure": _object(failure, "error", "reason"),
    }


def _portfolio() -> Document:
    holding = {
        "quantity": _AMOUNT,
        **{name: _or_null(_AMOUNT) for name in ("cost_basis", "price", "market_value", "unrealised_profit")},
        **{name: _or_null({"type": "string"}) for name in ("currency", "price_at")},
        "lots": {"type": "array", "description": "where they are in several currencies"},
    }
    fields = {
        "bot": {"type": "string"},
        "as_of": _or_null({"type": "string"}),
        "position": {**_POSITION, "description": "up to which the answer knows"},
        "base_currency": {"type": "string"},
        "cash": {**_AMOUNTS, "description": "by currency"},
        "holdings": {"type": "object", "additionalProperties": {"type": "object", "properties": holding}},
        "realised_profit": {**_AMOUNTS, "description": "by currency"},
        "fees": {**_AMOUNTS, "description": "by currency"},
        "worth": _or_null(_AMOUNT),
        "unpriced": {"type": "array", "items": {"type": "string"}, "description": "what the worth leaves out"},
        "flags": {"type": "array"},
        "flag_count": {"type": "integer"},
    }
    return {
        "type": "object",
        "properties": fields,
        "required": ["bot", "position", "base_currency", "cash", "holdings"],
    }


def _object(properties: Document, *required: str) -> Document:
    return {"type": "object", "properties": properties, "required": list(required)}


def _or_null(schema: Document) -> Document:
    return {"anyOf": [schema, {"type": "null"}]}


def _reference(section: str, name: str) -> Document:
    return {"$ref": f"#/components/{section}/{name}"}


if __name__ == "__main__":
    write(Path(sys.argv[1] if len(sys.argv) > 1 else "docs"))
