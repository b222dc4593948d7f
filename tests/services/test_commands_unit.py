"""`service install`: a unit that systemd can read, never over another one, and without a secret in it."""

import configparser
import os
import pwd
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from ledger.units import Unit
from tests.services.calls import Answer, call


def parsed(text: str) -> configparser.ConfigParser:
    """The unit as a reader of such files sees it; each key once."""
    found = configparser.ConfigParser(interpolation=None)
    found.optionxform = str  # type: ignore[assignment,method-assign]  # keys keep their case
    found.read_string(text)
    return found


def installed(home: Path, *flags: str, **environment: str) -> Answer:
    """A call for this user's own systemd, below a home of its own."""
    return call("service", "install", "--user", *flags, stdin=b"", XDG_CONFIG_HOME=str(home), **environment)


def test_the_unit_is_shown_with_absolute_paths_and_hardened(tmp_path: Path) -> None:
    data = tmp_path / "data"
    answer = call("service", "install", "--user", "--print", "--data-dir", os.path.relpath(data))
    assert (answer.code, answer.err) == (0, "")
    unit = parsed(answer.out)
    service = unit["Service"]
    program, *rest = service["ExecStart"].split()
    assert Path(program).is_absolute() and Path(program).exists()
    assert rest[-3:] == ["serve", "--data-dir", str(data)]
    assert (service["Restart"], service["TimeoutStopSec"], service["KillMode"]) == ("on-failure", "15", "mixed")
    assert (service["ProtectSystem"], service["ReadWritePaths"]) == ("strict", str(data))
    assert (service["NoNewPrivileges"], service["UMask"]) == ("yes", "0077")
    assert unit["Install"]["WantedBy"] == "default.target"
    assert not data.exists(), "to show is to write nothing"
    assert "CapabilityBoundingSet" not in service, "a user's own manager may not drop any"


def test_it_is_written_once_and_says_what_to_do_next(tmp_path: Path) -> None:
    flags = ("--data-dir", str(tmp_path / "data"))
    answer = installed(tmp_path, *flags)
    path = tmp_path / "systemd" / "user" / "botledger.service"
    assert (answer.code, answer.out) == (0, f"{path}: written\n")
    assert "systemctl --user daemon-reload" in answer.err
    assert "systemctl --user enable --now botledger" in answer.err
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700
    assert path.stat().st_mode & 0o777 == 0o644
    assert installed(tmp_path, *flags).out == f"{path}: is there already, unchanged\n"
    assert [found.name for found in path.parent.iterdir()] == ["botledger.service"]


def test_another_unit_is_replaced_only_when_told_to(tmp_path: Path) -> None:
    path = tmp_path / "systemd" / "user" / "books.service"
    path.parent.mkdir(parents=True)
    path.write_text("[Service]\nExecStart=/bin/mine\n")
    flags = ("--name", "books", "--data-dir", str(tmp_path / "data"))
    refused = installed(tmp_path, *flags)
    assert (refused.code, refused.out) == (1, "")
    assert "is there and says something else: give --force" in refused.err
    assert "/bin/mine" in path.read_text()
    assert installed(tmp_path, *flags, "--force").code == 0
    assert "/bin/mine" not in path.read_text()


def test_a_unit_of_the_system_runs_as_somebody_who_is_not_root(tmp_path: Path) -> None:
    someone = next(user.pw_name for user in pwd.getpwall() if user.pw_uid)
    shown = call("service", "install", "--print", "--data-dir", str(tmp_path / "data"), "--run-as", someone)
    unit = parsed(shown.out)
    assert unit["Service"]["User"] == someone
    assert unit["Service"]["CapabilityBoundingSet"] == ""
    assert unit["Service"]["ProtectHome"] == "read-only"
    assert unit["Install"]["WantedBy"] == "multi-user.target"
    unknown = call("service", "install", "--print", "--run-as", "nobody-of-this-name")
    assert (unknown.code, unknown.out) == (1, "")
    assert "there is no user" in unknown.err
    if os.getuid() == 0:
        assert "--run-as USER" in call("service", "install", "--print", "--data-dir", str(tmp_path)).err


@pytest.mark.parametrize(
    ("flags", "environment"),
    [
        (("--database", "postgresql://ledger:hunter2@db/ledger"), {}),
        (("--nats", "nats://ledger:hunter2@nats:4222"), {}),
        ((), {"LEDGER_DATABASE_URL": "postgresql://ledger:hunter2@db/ledger"}),
        ((), {"LEDGER_NATS_URL": "nats://hunter2@nats:4222"}),
    ],
)
def test_no_secret_goes_into_a_unit(tmp_path: Path, flags: tuple[str, ...], environment: dict[str, str]) -> None:
    answer = installed(tmp_path, *flags, **environment)
    assert (answer.code, answer.out) == (2, "")
    assert "hunter2" not in answer.err
    assert "--environment-file" in answer.err and "_FILE" in answer.err


def test_secrets_come_from_files_that_are_named(tmp_path: Path) -> None:
    secrets = tmp_path / "botledger.env"
    secrets.write_text("LEDGER_DATABASE_URL=postgresql://ledger:hunter2@db/ledger\n")
    secrets.chmod(0o640)
    answer = installed(tmp_path, "--print", "--environment-file", str(secrets))
    assert f"chmod 600 {secrets}" in answer.err
    service = parsed(answer.out)["Service"]
    assert service["EnvironmentFile"] == str(secrets)
    assert service["ExecStart"].endswith(" serve")
    assert "ReadWritePaths" not in service
    (tmp_path / "url").write_text("nats://token@127.0.0.1:4222")
    named = installed(tmp_path, "--print", LEDGER_NATS_URL_FILE=str(tmp_path / "url"), LEDGER_DATA_DIR=str(tmp_path))
    assert parsed(named.out)["Service"]["Environment"] == f"LEDGER_NATS_URL_FILE={tmp_path / 'url'}"


def test_paths_that_systemd_would_read_otherwise_are_quoted() -> None:
    unit = Unit(command=("/opt/a b/botledger", "serve", "--data-dir", '/x/100%"$HOME'), writes=(Path("/x/a b"),))
    service = parsed(unit.text())["Service"]
    assert service["ExecStart"] == '"/opt/a b/botledger" serve --data-dir "/x/100%%\\"$$HOME"'
    assert service["ReadWritePaths"] == '"/x/a b"'


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here")
@pytest.mark.parametrize("of_a_user", [False, True])
def test_systemd_itself_finds_nothing_wrong(tmp_path: Path, *, of_a_user: bool) -> None:
    path = tmp_path / "botledger.service"
    unit = Unit(command=(sys.executable, "serve"), writes=(tmp_path,), run_as=None if of_a_user else "daemon")
    path.write_text(replace(unit, of_a_user=of_a_user).text())
    done = subprocess.run(["systemd-analyze", "verify", str(path)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
