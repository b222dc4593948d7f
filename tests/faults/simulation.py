"""The simulation: speakers, broker, door, log, projectors and clock, and whatever may befall them, in any order.

Every rule is something that somebody does, or a fault that is brought about or prepared; between them simulated
time goes by only where a rule says so. After each rule the log has to be sound; at the end the faults stop, and
within `DRAIN_SECONDS` everything that was ever published has to have ended where it should, books and all.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ledger.bundles import HEADERS
from ledger.errors import Conflict
from ledger.messages import SUBJECT_PREFIX
from ledger.settings import Database
from projections.rebuild import rebuild
from tests.faults.simulated_facts import SPEAKERS, Said, all_sayings, moments, sayings, strange_messages, void_of
from tests.faults.simulated_world import World

DRAIN_SECONDS = 240.0
_LOOK_SECONDS = 5.0
_PAUSES = (0.001, 0.02, 0.1, 0.5, 3.0, 31.0)
_MEMORY = Path("/dev/shm")
Saying = tuple[str, list[Said]]
_SUBJECTS = st.sampled_from(SPEAKERS)
_WHICH = st.integers(0, 1)
_FAULTS = st.tuples(st.sampled_from(("before", "after")), st.sampled_from(("error", "killed")))


class Simulation(RuleBasedStateMachine):
    """One history. `struck` counts faults by kind, `done` examples, steps and facts, for all that are run."""

    struck: ClassVar[Counter[str]]
    done: ClassVar[Counter[str]]
    template: ClassVar[Path]

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp(prefix="simulation-", dir=_MEMORY if _MEMORY.is_dir() else None))
        shutil.copytree(self.template, self.directory, symlinks=True, dirs_exist_ok=True)
        self.world: World | None = None
        self.numbers: Counter[str] = Counter()
        self.said: list[tuple[str, Said]] = []
        self.done["examples"] += 1

    @initialize(seed=st.integers(0, 2**32 - 1))
    def begin(self, seed: int) -> None:
        """The beginning: a service that is ready."""
        self.world = World(Database(directory=self.directory), seed, self.struck)
        self.there.run(1.0)

    @property
    def there(self) -> World:
        """The world, which there is from the first rule on."""
        assert self.world is not None
        return self.world

    @rule(saying=all_sayings(), process=_WHICH, seconds=st.sampled_from(_PAUSES))
    def publish(self, saying: Saying, process: int, seconds: float) -> None:
        """Somebody says something new."""
        subject, messages = saying
        self._say(subject, [self._named(subject, said) for said in messages], process)
        self.there.run(seconds)

    @rule(sayings=st.lists(all_sayings(), min_size=2, max_size=4), process=_WHICH, which=_WHICH)
    def publish_and_follow(self, sayings: list[Saying], process: int, which: int) -> None:
        """Some say something new, it arrives, and a projector follows."""
        for subject, messages in sayings:
            self._say(subject, [self._named(subject, said) for said in messages], process)
        self.there.run(_PAUSES[-2])
        self.there.step(which, steps=len(sayings))

    @precondition(lambda self: self.said)
    @rule(data=st.data(), process=_WHICH, changed=st.booleans())
    def publish_again(self, data: st.DataObject, process: int, changed: bool) -> None:
        """An id is used again by another process of the speaker: for the same, or for something else."""
        subject, before = data.draw(st.sampled_from(self.said))
        again = {**data.draw(sayings(subject))[0], "id": before["id"]} if changed else before
        self.struck["published again" if again == before else "conflict published"] += 1
        self._say(subject, [again], 2 + process)
        self.there.run(_PAUSES[1])

    @precondition(lambda self: self.said)
    @rule(data=st.data(), at=moments(), by_operator=st.booleans())
    def take_back(self, data: st.DataObject, at: str, by_operator: bool) -> None:
        """A void of something, by the one who said it or an operator."""
        subject, said = data.draw(st.sampled_from(self.said))
        speaker = "ops.desk" if by_operator else subject
        self._say(speaker, [self._named(speaker, void_of((subject, said["id"]), at))], 0)
        self.there.run(_PAUSES[1])

    @rule(subject=_SUBJECTS, lines=st.lists(strange_messages(), min_size=1, max_size=2))
    def publish_strange(self, subject: str, lines: list[bytes]) -> None:
        """Something malformed comes, past any outbox."""
        self.struck["malformed published"] += 1
        headers = HEADERS if len(lines) > 1 else None
        self.there.broker.store(SUBJECT_PREFIX + subject, b"\n".join(lines), headers)

    @rule(seconds=st.sampled_from(_PAUSES))
    def run_for(self, seconds: float) -> None:
        """Time goes by."""
        self.there.run(seconds)

    @rule()
    def sync_broker(self) -> None:
        """The broker brings its stream to the disk."""
        self.there.broker.sync()

    @rule(saying=all_sayings(), pause=st.sampled_from(_PAUSES[:3]), seconds=st.sampled_from((0.0, 1.0, 40.0)))
    def cut_broker(self, saying: Saying, pause: float, seconds: float) -> None:
        """The broker's power is cut: everybody is cut off, and the tail is lost."""
        self.publish(saying, 0, pause)
        self.there.broker.power_cut(seconds=seconds)

    @rule(before=all_sayings(), after=all_sayings(), errors=st.integers(2, 5))
    def cut_broker_in_a_batch(self, before: Saying, after: Saying, errors: int) -> None:
        """The tail is lost while the door has it in hand and its database is away; others take the sequences."""
        self.there.door_faults.extend([("before", "error")] * errors)
        self.publish(before, 0, _PAUSES[2])
        self.there.broker.power_cut(seconds=0.0)
        self.publish(after, 1, _PAUSES[-2])

    @rule()
    def delete_stream(self) -> None:
        """Somebody deletes the stream."""
        if self.there.broker.stream is not None:
            self.there.broker.delete_stream()

    @rule(before=all_sayings(), after=all_sayings(), errors=st.integers(4, 8))
    def delete_stream_in_a_batch(self, before: Saying, after: Saying, errors: int) -> None:
        """The stream goes while the door has messages of it in hand; in a new one others take the sequences."""
        self.there.door_faults.extend([("before", "error")] * errors)
        self.publish(before, 0, _PAUSES[2])
        self.delete_stream()
        self.there.run(_PAUSES[3])
        self.publish(after, 1, _PAUSES[-2])

    @rule(saying=all_sayings(), seconds=st.sampled_from(_PAUSES[:3]))
    def redeliver(self, saying: Saying, seconds: float) -> None:
        """What is on its way is delivered again; what waits comes in another order from now on, or not any more."""
        self.publish(saying, 0, seconds)
        self.there.broker.redeliver()
        self.there.broker.shuffles = not self.there.broker.shuffles

    @rule(saying=all_sayings(), receipts=st.integers(0, 4), acknowledgements=st.integers(0, 4))
    def lose_answers(self, saying: Saying, receipts: int, acknowledgements: int) -> None:
        """Receipts and acknowledgements get lost."""
        self.there.broker.lose_receipts, self.there.broker.lose_acknowledgements = receipts, acknowledgements
        self.publish(saying, 0, _PAUSES[2])

    @rule(saying=all_sayings(), door=_WHICH, pause=st.sampled_from(_PAUSES[:3]), seconds=st.sampled_from((0.0, 40.0)))
    def cut_door(self, saying: Saying, door: int, pause: float, seconds: float) -> None:
        """A service's connection breaks."""
        self.publish(saying, 0, pause)
        self.there.doors[door].cut(seconds)

    @rule(saying=all_sayings(), pause=st.sampled_from(_PAUSES[:3]), seconds=st.sampled_from((0.0, 40.0)))
    def cut_speaker(self, saying: Saying, pause: float, seconds: float) -> None:
        """A speaker's connection breaks."""
        self.publish(saying, 0, pause)
        self.there.speaker(saying[0], 0).cut(seconds)

    @rule(saying=all_sayings(), pause=st.sampled_from(_PAUSES[:3]))
    def kill_speaker(self, saying: Saying, pause: float) -> None:
        """A speaker's process dies and is started again."""
        self.publish(saying, 0, pause)
        self.there.speaker(saying[0], 0).crash()

    @rule(saying=all_sayings(), door=_WHICH, pause=st.sampled_from(_PAUSES[:3]), kindly=st.booleans())
    def end_door(self, saying: Saying, door: int, pause: float, kindly: bool) -> None:
        """A service is told to leave, or its process is killed."""
        self.publish(saying, 0, pause)
        if kindly:
            self.there.doors[door].stop()
        else:
            self.there.doors[door].kill()

    @rule(saying=all_sayings(), publications=st.integers(0, 6))
    def kill_door_at(self, saying: Saying, publications: int) -> None:
        """The process of the service that makes the nth publication from now on is killed at that."""
        self.there.publications_left = publications
        self.publish(saying, 0, _PAUSES[2])

    @rule(saying=all_sayings(), faults=st.lists(_FAULTS, min_size=1, max_size=3))
    def break_door(self, saying: Saying, faults: list[tuple[str, str]]) -> None:
        """The next transactions of the door go wrong."""
        self.there.door_faults.extend(faults)
        self.publish(saying, 0, _PAUSES[3])

    @rule(sayings=st.lists(all_sayings(), max_size=2), which=_WHICH, faults=st.lists(_FAULTS, min_size=1, max_size=3))
    def break_books(self, sayings: list[Saying], which: int, faults: list[tuple[str, str]]) -> None:
        """The next transactions of the books go wrong."""
        self.there.book_faults.extend(faults)
        self.publish_and_follow(sayings, 0, which)
        self.there.books.check()

    @rule(which=_WHICH, steps=st.integers(1, 4))
    def step(self, which: int, steps: int) -> None:
        """One of two projectors makes some steps."""
        self.there.step(which, steps=steps)

    @rule(which=_WHICH)
    def forget_projector(self, which: int) -> None:
        """A projector's process dies between two steps."""
        self.struck["projector killed"] += 1
        self.there.forget(which)

    @rule()
    def rebuild(self) -> None:
        """The books are made anew."""
        self.struck["rebuilt"] += 1
        self.there.rebuild()

    @rule(days=st.sampled_from((-40, -1, 1, 40)))
    def set_clock(self, days: int) -> None:
        """Somebody sets the clock."""
        self.struck["clock set back" if days < 0 else "clock set forward"] += 1
        self.there.set_clock(days)

    @rule()
    def look_at_books(self) -> None:
        """Where no note is left, the books are those of the facts up to their checkpoint."""
        self.there.books.check()

    @invariant()
    def is_sound(self) -> None:
        """What must hold at any moment."""
        if self.world is None:
            return
        self.done["steps"] += 1
        assert not self.world.problems, "\n".join(self.world.problems)
        self.world.model.check_log()
        self.world.books.check_checkpoint()

    def teardown(self) -> None:
        """The faults stop; everything has to come to its end."""
        try:
            if self.world is not None and sys.exc_info()[0] is None:
                self._drain(self.world)
        finally:
            if self.world is not None:
                self.world.close()
            shutil.rmtree(self.directory)

    def _named(self, subject: str, said: Said) -> Said:
        """The message with an id that is new, and sorts against the order of its coming."""
        self.numbers[subject] += 1
        return {"id": f"f{999 - self.numbers[subject]}", **said}

    def _say(self, subject: str, messages: list[Said], process: int) -> None:
        try:
            self.there.speaker(subject, process).publish(messages)
        except Conflict:
            self.struck["conflict in the outbox"] += 1
            return
        self.done["facts"] += len(messages)
        for said in messages:
            self.there.model.publish(subject, said)
            self.said.append((subject, said))

    def _drain(self, world: World) -> None:
        world.calm()
        end = world.loop.time() + DRAIN_SECONDS
        while waiting := world.still_waiting():
            assert world.loop.time() < end, f"not at an end {DRAIN_SECONDS:g} s after the last fault: {waiting}"
            world.run(_LOOK_SECONDS)
            self.is_sound()
        world.check_end()
        for projector in world.projectors:
            projector.catch_up()
        assert world.books.check(), "a note is left when there is nothing more to do"
        rebuild(world.database)
        assert world.books.check(), "a note is left after a rebuild"
