"""What bots, feeds and sources share: a name, a `with` block around what they publish, voids, and a flush."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from ledger.addresses import Surroundings
from ledger.inputs import TimeInput
from ledger.outbox_rows import SetAside
from ledger.speaker import Clock, Published, Speaker

TIMEOUT_SECONDS = 10.0


class Voice:
    """One named speaker of a kind; safe with several processes of the same name.

    `nats_url`, `data_dir` and `outbox_dir` stand above the environment. `timeout_seconds` limits each wait.
    `require_receipts`: leaving the block raises Unconfirmed where receipts are missing. `clock` gives the
    moment of what has no `at`.

    Raises: Refused where the name is not well-formed, SetupError where there can be no outbox.
    """

    kind: ClassVar[str]

    def __init__(
        self,
        name: str,
        *,
        nats_url: str | None = None,
        data_dir: Path | str | None = None,
        outbox_dir: Path | str | None = None,
        require_receipts: bool = False,
        timeout_seconds: float = TIMEOUT_SECONDS,
        clock: Clock | None = None,
    ) -> None:
        self.name = name
        self._speaker = Speaker(
            f"{self.kind}.{name}",
            Surroundings(
                nats_url,
                None if data_dir is None else Path(data_dir),
                None if outbox_dir is None else Path(outbox_dir),
            ),
            timeout_seconds=timeout_seconds,
            require_receipts=require_receipts,
            clock=clock,
            excuses=self._excuses,
        )

    def __enter__(self) -> Self:
        """Begin to send, also what earlier runs have left."""
        self._speaker.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait for receipts, tell what is missing or refused, and close."""
        self._speaker.leave(error)

    def void(
        self,
        target: str,
        *,
        reason: str,
        at: TimeInput | None = None,
        id: str | None = None,  # noqa: A002 - the field's own name
    ) -> Published:
        """A fact of this speaker, named by its id, counts as never published, whichever comes first.

        A void cannot be voided, and the id stays used: what was right is published again under a new one.
        """
        fields = {"type": "void", "subject": self._speaker.subject, "target": target, "reason": reason}
        return self._speaker.publish(fields | {"id": id, "at": self._speaker.moment(at)})

    def flush(self, timeout_seconds: float | None = None) -> int:
        """Wait for the receipts of all that is published; the number that is still missing.

        Raises: Refused or Conflict naming what the ledger refuses for ever, SetupError where the broker does.
        """
        return self._speaker.flush(timeout_seconds)

    def close(self) -> None:
        """Stop sending, without waiting; what has no receipt stays in the outbox."""
        self._speaker.close()

    def _excuses(self, refused: Sequence[SetAside], timeout_seconds: float) -> Sequence[SetAside]:
        """Which refusals are no error to this speaker, found out in about so many seconds."""
        return ()
