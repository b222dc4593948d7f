"""The systemd unit that runs `serve`: made as text, put in its place, never over another one unasked."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ledger.atomic import PUBLIC, write_whole
from ledger.errors import SetupError

STOP_SECONDS = 15
_TEXT = """\
# Written by `botledger service install`.
[Unit]
Description=botledger, the ledger of a fleet of trading bots
{network}StartLimitIntervalSec=0

[Service]
{service}
{hardening}
[Install]
WantedBy={target}
"""
_PLAIN = re.compile(r"[A-Za-z0-9@:,./_=+-]+")
# What needs no capability; a user's own manager has none to drop.
_HARDENING = """\
UMask=0077
NoNewPrivileges=yes
ProtectSystem=strict
PrivateTmp=yes
LockPersonality=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RestrictNamespaces=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
SystemCallArchitectures=native
"""
_HARDENING_OF_THE_SYSTEM = """\
CapabilityBoundingSet=
ProtectHome=read-only
PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
"""


@dataclass(frozen=True, slots=True)
class Unit:
    """What a unit runs, as whom, and what it may write."""

    command: Sequence[str]
    writes: Sequence[Path] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    environment_file: Path | None = None
    run_as: str | None = None
    of_a_user: bool = False

    def text(self) -> str:
        """The unit as a file."""
        lines = ["Type=exec", f"ExecStart={' '.join(_quoted(part, doubles_dollars=True) for part in self.command)}"]
        if self.run_as is not None:
            lines.append(f"User={self.run_as}")
        if self.environment:
            pairs = (_quoted(f"{name}={value}") for name, value in self.environment.items())
            lines.append(f"Environment={' '.join(pairs)}")
        if self.environment_file is not None:
            lines.append(f"EnvironmentFile={_escaped(str(self.environment_file))}")
        lines += ["Restart=on-failure", "RestartSec=2", f"TimeoutStopSec={STOP_SECONDS}"]
        lines.append("KillMode=mixed")  # The service ends its projector and its broker itself, in the right order.
        if self.writes:
            lines.append(f"ReadWritePaths={' '.join(_quoted(str(path)) for path in self.writes)}")
        hardening = _HARDENING if self.of_a_user else _HARDENING + _HARDENING_OF_THE_SYSTEM
        network = "" if self.of_a_user else "Wants=network-online.target\nAfter=network-online.target\n"
        return _TEXT.format(
            network=network,
            service="\n".join(lines),
            hardening=hardening,
            target="default.target" if self.of_a_user else "multi-user.target",
        )


def install(path: Path, text: str, *, replaces: bool) -> bool:
    """Write the unit, whole or not at all; False where this very unit is there already.

    Raises: SetupError where another one is there, or it cannot be written.
    """
    try:
        if path.exists():
            if path.read_text(encoding="utf-8") == text:
                return False
            if not replaces:
                raise SetupError(f"{path} is there and says something else: give --force, or another --name")
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, text, mode=PUBLIC)
    except OSError as error:
        raise SetupError(
            f"{path} cannot be written: {error.strerror} (try sudo, or --user; --print shows the unit)"
        ) from error
    return True


def _quoted(text: str, *, doubles_dollars: bool = False) -> str:
    """One word of a line of a unit."""
    if not text.isprintable():
        raise SetupError(f"{text!r} cannot stand in a unit")
    escaped = _escaped(text)
    if doubles_dollars:
        escaped = escaped.replace("$", "$$")
    if _PLAIN.fullmatch(text):
        return escaped
    return '"' + escaped.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _escaped(text: str) -> str:
    return text.replace("%", "%%")
