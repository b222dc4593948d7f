"""What the database itself holds against changes of the log: its triggers and unique keys, as the migrations make them.

Whoever owns the database can drop them, and a copy by other means may come without; the log then still agrees with
itself. Each that is missing comes with the SQL that puts it back.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Connection, Inspector, Table, UniqueConstraint, inspect, text
from sqlalchemy.orm import Session

from ledger.schema import SCHEMA, metadata

_SQLITE = {
    "events_not_updated": """CREATE TRIGGER events_not_updated BEFORE UPDATE ON events
        BEGIN SELECT RAISE(ABORT, 'the log is append-only: UPDATE on events is refused'); END""",
    "events_not_deleted": """CREATE TRIGGER events_not_deleted BEFORE DELETE ON events
        BEGIN SELECT RAISE(ABORT, 'the log is append-only: DELETE on events is refused'); END""",
    "events_not_replaced": """CREATE TRIGGER events_not_replaced BEFORE INSERT ON events
        WHEN EXISTS (SELECT 1 FROM events WHERE position = NEW.position)
        OR EXISTS (SELECT 1 FROM events WHERE subject = NEW.subject AND id = NEW.id)
        BEGIN SELECT RAISE(ABORT, 'the log is append-only: this position or identity is taken'); END""",
    "log_head_not_deleted": """CREATE TRIGGER log_head_not_deleted BEFORE DELETE ON log_head
        BEGIN SELECT RAISE(ABORT, 'the log is append-only: DELETE on log_head is refused'); END""",
    "log_head_not_replaced": """CREATE TRIGGER log_head_not_replaced BEFORE INSERT ON log_head
        WHEN EXISTS (SELECT 1 FROM log_head)
        BEGIN SELECT RAISE(ABORT, 'the log is append-only: log_head has its one row'); END""",
}
_POSTGRES = {
    "events_unchangeable": "CREATE TRIGGER events_unchangeable BEFORE DELETE OR UPDATE ON ledger.events "
    "FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change()",
    "events_untruncatable": "CREATE TRIGGER events_untruncatable BEFORE TRUNCATE ON ledger.events "
    "FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change()",
    "log_head_undeletable": "CREATE TRIGGER log_head_undeletable BEFORE DELETE ON ledger.log_head "
    "FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change()",
    "log_head_untruncatable": "CREATE TRIGGER log_head_untruncatable BEFORE TRUNCATE ON ledger.log_head "
    "FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change()",
}
_FUNCTION_BODY = (
    "BEGIN RAISE EXCEPTION 'the log is append-only: % on %.% is refused', TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME; END"
)
_FUNCTION = (
    "CREATE OR REPLACE FUNCTION ledger.refuse_change() RETURNS trigger LANGUAGE plpgsql "
    f"SET search_path = pg_catalog AS $$ {_FUNCTION_BODY} $$"
)
_NO_SQL = "-- only a backup has it: botledger restore BACKUP --replace"
_LIVE_SQLITE = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"
_LIVE_POSTGRES = """
SELECT tgname, pg_get_triggerdef(oid) FROM pg_catalog.pg_trigger
WHERE tgrelid IN (to_regclass('ledger.events'), to_regclass('ledger.log_head')) AND tgenabled IN ('O', 'A')
"""
_LIVE_FUNCTION = "SELECT prosrc FROM pg_catalog.pg_proc WHERE oid = to_regprocedure('ledger.refuse_change()')"


@dataclass(frozen=True, slots=True)
class Missing:
    """A guard that is gone, switched off or another one by now, and the SQL that puts it back."""

    what: str
    sql: str


def missing_guards(session: Session) -> tuple[Missing, ...]:
    """The triggers and unique keys of the log that are not as the schema makes them, in the order to put them back."""
    connection = session.connection()
    return (*_functions(connection), *_triggers(connection), *_keys(connection))


def _functions(connection: Connection) -> Iterator[Missing]:
    if connection.dialect.name == "postgresql":
        body = connection.scalar(text(_LIVE_FUNCTION))
        if body is None or _plain(body) != _FUNCTION_BODY:
            yield Missing("the function ledger.refuse_change", f"{_FUNCTION};")


def _triggers(connection: Connection) -> Iterator[Missing]:
    is_sqlite = connection.dialect.name == "sqlite"
    query, wanted = (_LIVE_SQLITE, _SQLITE) if is_sqlite else (_LIVE_POSTGRES, _POSTGRES)
    live = {str(name): _plain(sql) for name, sql in connection.execute(text(query))}
    for name, statement in wanted.items():
        made = _plain(statement)
        if live.get(name) != made:
            place = "" if is_sqlite else f" ON {made.partition(' ON ')[2].partition(' ')[0]}"
            yield Missing(f"the trigger {name}", f"DROP TRIGGER IF EXISTS {name}{place}; {made};")


def _keys(connection: Connection) -> Iterator[Missing]:
    schema = None if connection.dialect.name == "sqlite" else SCHEMA
    inspector = inspect(connection)
    there = inspector.get_table_names(schema)
    for table in metadata.sorted_tables:
        if table.name not in there:
            yield Missing(f"the table {table.name}", _NO_SQL)
            continue
        standing = _unique(inspector, table.name, schema)
        for key in _wanted(table):
            if key not in standing:
                name = table.name if schema is None else f"{schema}.{table.name}"
                index = "_".join((table.name, *key, "unique"))
                columns = ", ".join(key)
                yield Missing(
                    f"the unique key of {table.name} ({columns})", f"CREATE UNIQUE INDEX {index} ON {name} ({columns});"
                )


def _wanted(table: Table) -> list[tuple[str, ...]]:
    keys = [table.primary_key, *(found for found in table.constraints if isinstance(found, UniqueConstraint))]
    return sorted(tuple(column.name for column in key.columns) for key in keys)


def _unique(inspector: Inspector, table: str, schema: str | None) -> set[tuple[str, ...]]:
    """The columns of every key that no two rows share, however it was made."""
    keys = [inspector.get_pk_constraint(table, schema)["constrained_columns"]]
    keys += [found["column_names"] for found in inspector.get_unique_constraints(table, schema)]
    for index in inspector.get_indexes(table, schema):
        partial = any(name.endswith("_where") for name in index.get("dialect_options", {}))
        if index["unique"] and not partial:
            keys.append([column for column in index["column_names"] if column is not None])
    return {tuple(key) for key in keys}


def _plain(sql: str) -> str:
    """The statement with one space between its words, however its lines were broken."""
    return " ".join(sql.split())
