"""The SQL that makes PostgreSQL's roles for a ledger: who may do what, and nothing more.

<database>_owner       logs in for `db upgrade` only; the log is its own
<database>_service     logs in for `serve`, `import`, `register`, `rebuild`; the books are its own; it is
<database>_writer      …a writer: it adds to the log and moves its head, and changes or removes nothing in it
<database>_projector   …and a projector: it reads the log, and makes books and the views that show them
<database>_reader      reads views, books and log
"""

from __future__ import annotations

from sqlalchemy import make_url

from ledger.errors import SetupError
from ledger.settings import Database

PARTS = ("owner", "writer", "projector", "reader", "service")
BOOKS_TABLES = (
    "bots",
    "trades",
    "historic_data",
    "run_logs",
    "portfolio_worth",
    "lots",
    "holdings",
    "lot_matches",
    "cash_movements",
    "flags",
    "checkpoints",
    "pending_folds",
    "snapshots",
    "interests",
)
_NAME_LIMIT = 63
_SQL = """\
-- Roles of botledger for the database {database}. To be run as a superuser, in this database, after
-- `botledger db upgrade`; again after each upgrade; it changes nothing twice. Then give the two that log in
-- a password: \\password {owner}  \\password {service}  and make readers: CREATE ROLE anna LOGIN IN ROLE {reader};
DO $roles$
DECLARE
    name text;
    found record;
BEGIN
    IF to_regclass('ledger.events') IS NULL THEN
        RAISE EXCEPTION 'there is no log in this database: run botledger db upgrade first';
    END IF;
    FOREACH name IN ARRAY ARRAY[{literals}] LOOP
        IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = name) THEN
            EXECUTE format('CREATE ROLE %I NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION', name);
        END IF;
    END LOOP;
    ALTER ROLE {owner} LOGIN;
    ALTER ROLE {service} LOGIN;
    GRANT {writer}, {projector} TO {service};

    -- What is there already gets its owner: the log the one, the books and the views that show them the other.
    GRANT CREATE, CONNECT ON DATABASE {database} TO {owner}, {projector};
    GRANT CONNECT ON DATABASE {database} TO {service}, {reader};
    CREATE SCHEMA IF NOT EXISTS {books_schema};
    GRANT USAGE, CREATE ON SCHEMA {books_schema} TO {projector};
    ALTER SCHEMA ledger OWNER TO {owner};
    ALTER FUNCTION ledger.refuse_change() OWNER TO {owner};
    FOR found IN SELECT c.relname FROM pg_catalog.pg_class c WHERE c.relnamespace = 'ledger'::regnamespace
                 AND c.relkind = 'r' LOOP
        EXECUTE format('ALTER TABLE ledger.%I OWNER TO {owner}', found.relname);
    END LOOP;
    FOR found IN SELECT nspname FROM pg_catalog.pg_namespace WHERE nspname ~ '^books(_[0-9]+)?$' LOOP
        EXECUTE format('ALTER SCHEMA %I OWNER TO {service}', found.nspname);
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO {reader}', found.nspname);
    END LOOP;
    FOR found IN SELECT n.nspname, c.relname, c.relkind FROM pg_catalog.pg_class c
                 JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                 WHERE n.nspname ~ '^books(_[0-9]+)?$' AND c.relkind = 'r'
                    OR n.nspname = {schema_literal} AND c.relkind = 'v' AND c.relname = ANY (ARRAY[{tables}]) LOOP
        EXECUTE format('ALTER TABLE %I.%I OWNER TO {service}', found.nspname, found.relname);
        EXECUTE format('GRANT SELECT ON %I.%I TO {reader}', found.nspname, found.relname);
    END LOOP;

    -- The log: nobody but its owner can change or remove what is recorded, or switch its triggers off.
    REVOKE ALL ON SCHEMA ledger FROM PUBLIC, {writer}, {projector}, {reader}, {service};
    REVOKE ALL ON ALL TABLES IN SCHEMA ledger FROM PUBLIC, {writer}, {projector}, {reader}, {service};
    GRANT USAGE ON SCHEMA ledger TO {writer}, {projector}, {reader};
    GRANT SELECT ON ALL TABLES IN SCHEMA ledger TO {writer}, {projector};
    GRANT INSERT ON ledger.events TO {writer};
    GRANT UPDATE (position, hash, recorded_at) ON ledger.log_head TO {writer};
    GRANT UPDATE (stream, through, beyond, acknowledged) ON ledger.stream_seen TO {writer};
    GRANT INSERT, DELETE ON ledger.rejected, ledger.parked TO {writer};
    GRANT SELECT ON ledger.events, ledger.log_head, ledger.alembic_version TO {reader};

    -- What the service makes from now on, new books and their views, readers can read.
    GRANT USAGE ON SCHEMA {books_schema} TO {reader};
    ALTER DEFAULT PRIVILEGES FOR ROLE {service} GRANT USAGE ON SCHEMAS TO {reader};
    ALTER DEFAULT PRIVILEGES FOR ROLE {service} GRANT SELECT ON TABLES TO {reader};
END $roles$;
"""


def roles_sql(database: Database) -> str:
    """The script for this database.

    Raises: SetupError where log and books are files, or the database's name leaves no room for the roles'.
    """
    if database.url is None:
        raise SetupError("roles are PostgreSQL's: name the database (--database URL); files have owners and rights")
    url = make_url(database.url)
    name = url.database or url.username or "postgres"
    roles = {part: f"{name}_{part}" for part in PARTS}
    if len(max(roles.values(), key=len).encode()) > _NAME_LIMIT:
        raise SetupError(f"the name {name} is so long that its roles cannot be named after it: choose a shorter one")
    return _SQL.format(
        database=_quoted(name),
        books_schema=_quoted(database.books_schema),
        schema_literal=_literal(database.books_schema),
        literals=", ".join(_literal(role) for role in roles.values()),
        tables=", ".join(_literal(table) for table in BOOKS_TABLES),
        **{part: _quoted(role) for part, role in roles.items()},
    )


def _quoted(name: str) -> str:
    """The name as an identifier; inside format('…') a percent sign or an apostrophe would mean something else."""
    if any(character in name for character in "'%\\$\n\0"):
        raise SetupError(f"a database or schema called {name!r} is not supported: choose a plain name")
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
