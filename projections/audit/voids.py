"""The auditor's voids: which facts count, and which voids void nothing."""

from collections.abc import Sequence

from projections.audit.facts import Fact, Identity, Row, identity, kind_of


def heard(facts: Sequence[Fact]) -> list[Fact]:
    """The facts that count: as if neither the voids nor what they name had ever been published."""
    gone = {target(fact) for fact in facts if kind_of(fact) == "void"}
    return [fact for fact in facts if kind_of(fact) != "void" and identity(fact) not in gone]


def target(void: Fact) -> Identity:
    """What a void names."""
    return (void.message["subject"], void.message["target"])


def void_flags(facts: Sequence[Fact], recorded: Sequence[Fact]) -> list[Row]:
    """Of the voids among these facts: whose target is not recorded, or is a void itself."""
    kinds = {identity(fact): kind_of(fact) for fact in recorded}
    rows: list[Row] = []
    for fact in facts:
        if kind_of(fact) != "void" or kinds.get(target(fact), "void") != "void":
            continue
        kind = "void_of_void" if target(fact) in kinds else "void_waiting"
        speaker, _, name = target(fact)[0].partition(".")
        bot = name if speaker == "bots" else None
        rows.append({"kind": kind, "fact": identity(fact), "bot_name": bot, "symbol": "", "at": fact.at})
    return rows
