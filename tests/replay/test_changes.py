"""What made worth change between two points, for any log at up to 30 decimals: the parts leave nothing over."""

from collections.abc import Callable, Sequence
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from ledger.database import get_log_session
from ledger.errors import LedgerError
from projections.attribution import attribute
from projections.history import History, Point, View
from projections.points import Moment, read_moment
from projections.worth_changes import Change, changes_of
from tests.replay.answers import asking, views_of
from tests.replay.given import BOT, adjustment, buy, close, deposit, dividend, opening, register, split, told, void
from tests.replay.outcome import total
from tests.replay.ways import Message, record
from tests.replay.worlds import Fresh
from tests.strategies import ALWAYS, logs
from tests.strategies_fields import days, times

three_moments = st.lists(times() | days(), min_size=3, max_size=3)
two_moments = st.lists(times() | days(), min_size=2, max_size=2)
parts_of_fact = ("flows", "trades", "fees", "dividends", "charges", "adjustments")


@given(messages=logs(), texts=three_moments, known=st.lists(st.floats(0, 1), min_size=3, max_size=3))
@settings(max_examples=20, **ALWAYS)
def test_the_parts_add_up_to_the_change_and_the_changes_to_the_whole(
    fresh_sqlite: Fresh, messages: list[Message], texts: list[str], known: list[float]
) -> None:
    assert_add_up(fresh_sqlite, messages, texts, [round(share * len(messages)) for share in known])


@given(messages=logs(), texts=three_moments, known=st.lists(st.floats(0, 1), min_size=3, max_size=3))
@settings(max_examples=3, **ALWAYS)
def test_the_parts_add_up_to_the_change_and_the_changes_to_the_whole_on_postgresql(
    fresh_postgres: Fresh, messages: list[Message], texts: list[str], known: list[float]
) -> None:
    assert_add_up(fresh_postgres, messages, texts, [round(share * len(messages)) for share in known])


@given(messages=logs(), text=times() | days())
@settings(max_examples=20, **ALWAYS)
def test_flows_are_those_of_the_worth_fact_by_fact(fresh_sqlite: Fresh, messages: list[Message], text: str) -> None:
    with fresh_sqlite() as world:
        record(world.database, messages)
        with asking(world.database, len(messages), read_moment(text)) as past:
            for view in views_of(past):
                found = attribute(view.bot, view.rows.worth, view.facts, view.market, None)
                assert found.parts["flows"] == total(view.rows.worth, "net_flow")
                for part in parts_of_fact:
                    assert Fraction(found.parts[part]) == sum(map(Fraction, found.facts[part].values()), Fraction(0))


@given(messages=logs().map(lambda messages: in_one_currency(messages)), texts=two_moments)
@settings(max_examples=20, **ALWAYS)
def test_in_one_currency_each_part_is_what_other_books_say(
    fresh_sqlite: Fresh, messages: list[Message], texts: list[str]
) -> None:
    first, second = in_order(texts)
    free = [(subject, {**said, "fee": "0"} if "fee" in said else said) for subject, said in messages]
    expected = figures(fresh_sqlite, messages, (first, second), {"fees": fees, "dividends": paid, "charges": charged})
    expected |= figures(fresh_sqlite, free, (first, second), {"price": unrealised, "trades": realised})
    with fresh_sqlite() as world:
        record(world.database, messages)
        with get_log_session(world.database) as session:
            for name in {name for name, _, _ in expected if (name, second, "fees") in expected}:
                found = by_part(changed(session, name, (len(messages), first), (len(messages), second)))
                for part in ("price", "trades", "fees", "dividends", "charges"):
                    before = expected.get((name, first, part), Fraction(0))
                    assert found[part] == expected[name, second, part] - before, (name, part)


def test_flows_in_another_currency_are_told_in_the_base_when_a_rate_comes(fresh_sqlite: Fresh) -> None:
    given_ = [
        register(opening={"USD": "100", "EUR": "10"}, holdings={"QQQ": {"quantity": "2", "cost": "7"}}),
        close("QQQ", "2026-01-05", "30"),
        deposit("5", currency="EUR", id="more"),
        close("EURUSD=X", "2026-01-06", "2"),
    ]
    (flows, *_) = changes(fresh_sqlite, given_, (4, "2026-01-04"), (4, "2026-01-06"))
    assert [(fact.event.id, str(flows.amounts[fact.position])) for fact in flows.facts] == [
        ("0001", "180"),
        ("more", "10"),
    ]
    (until_then, *_) = changes(fresh_sqlite, given_, (4, "2026-01-04"), (4, "2026-01-05"))
    assert [str(amount) for amount in until_then.amounts.values()] == ["160"]


def test_what_leaves_at_cost_leaves_without_the_fee_that_is_told_apart(fresh_sqlite: Fresh) -> None:
    given_ = [opening("1000"), buy("QQQ", "3", price="10", fee="3"), adjustment("QQQ", "-1")]
    found = by_part(changes(fresh_sqlite, given_, (3, "2026-01-04"), (3, "2026-01-06")))
    told_of = [str(found[part]) for part in ("fees", "adjustments", "price", "total")]
    assert told_of == ["-3", "-10", "0", "987"]


def test_what_is_left_of_a_lot_that_a_split_has_rounded_to_nothing_leaves_at_its_cost(fresh_sqlite: Fresh) -> None:
    dust = buy("COIN", f"0.{'0' * 29}1", price="1", at="2026-01-05T12:00:00Z")
    given_ = [opening("1000"), dust, split("COIN", "2026-01-06", 1, 3)]
    given_.append(adjustment("COIN", "1", at="2026-01-07T12:00:00Z"))
    found = by_part(changes(fresh_sqlite, given_, (4, "2026-01-06"), (4, "2026-01-07")))
    assert found["adjustments"] == Fraction(-1, 10**30)


def test_corrections_name_the_late_fact_the_void_and_the_bars_told_again(fresh_sqlite: Fresh) -> None:
    given_ = [
        opening("1000", at="2026-01-05"),
        buy("QQQ", "2", price="10", id="bought"),
        close("QQQ", "2026-01-05", "11"),
        dividend("QQQ", "2026-01-06", "1", id="paid"),
        deposit("1", id="known", at="2026-01-06"),
    ]
    learned = [
        buy("QQQ", "1", price="9", at="2026-01-05", id="late"),
        buy("QQQ", "1", price="9", at="2026-01-08", id="after"),
        void("bought", id="gone", at="2026-01-09"),
        close("QQQ", "2026-01-05", "14", feed="other", id="again"),
        close("QQQ", "2026-01-08", "99", id="of-after"),
        close("SPY", "2026-01-05", "99", id="elsewhere"),
        void("paid", of="actions.exchange", at="2026-01-10", id="not-paid"),
        void("never", id="of-nothing", at="2026-01-05"),
        deposit("1", bot="Other", at="2026-01-05", id="other"),
    ]
    found = changes(fresh_sqlite, [*given_, *learned], (5, "2026-01-06"), (14, "2026-01-06"))
    corrections = next(change for change in found if change.part == "corrections")
    assert [fact.event.id for fact in corrections.facts] == ["late", "gone", "again", "not-paid"]
    # Two units at 11, bought for 20 and paid 2; then one at 14, bought for 9.
    assert (str(corrections.before), str(corrections.after), str(corrections.change)) == ("1005", "1006", "1")


def test_what_was_learned_counts_backwards_too(fresh_sqlite: Fresh) -> None:
    given_ = [opening("1000", at="2026-01-05"), deposit("5", id="late")]
    there = changes(fresh_sqlite, given_, (1, "2026-01-06"), (2, "2026-01-06"))
    back = changes(fresh_sqlite, given_, (2, "2026-01-06"), (1, "2026-01-06"))
    assert [change.change for change in back] == [-change.change for change in there]
    assert [fact.event.id for change in back for fact in change.facts] == ["late"]


def assert_add_up(fresh: Fresh, messages: Sequence[Message], texts: Sequence[str], known: Sequence[int]) -> None:
    """a to b and b to c are a to c: each part where all is known, the total whatever was known."""
    with fresh() as world:
        record(world.database, messages)
        with get_log_session(world.database) as session:
            moments, all_known = in_order(texts), [len(messages)] * 3
            for name in list(History(session, Point(len(messages))).names):
                three = three_changes(session, name, list(zip(all_known, moments, strict=True)))
                if three is not None:
                    one, two, whole = map(by_part, three)
                    assert {part: one[part] + two[part] for part in whole} == whole, name
                three = three_changes(session, name, list(zip(known, moments, strict=True)))
                if three is not None:
                    one, two, whole = map(by_part, three)
                    assert one["total"] + two["total"] == whole["total"], name


def three_changes(session: Session, name: str, at: Sequence[tuple[int, Moment]]) -> list[list[Change]] | None:
    """The changes from a to b, from b to c, and from a to c; None where the bot is missing, or counts otherwise."""
    try:
        found = [changed(session, name, at[one], at[other]) for one, other in ((0, 1), (1, 2), (0, 2))]
    except LedgerError:
        return None
    for three in found:
        *parts, whole = three
        assert sum((Fraction(part.change) for part in parts), Fraction(0)) == Fraction(whole.change), name
        for part in parts:
            if part.part in parts_of_fact:
                assert Fraction(part.change) == sum(map(Fraction, part.amounts.values()), Fraction(0)), part.part
    return found


def changes(fresh: Fresh, facts: Sequence[Message], first: tuple[int, str], second: tuple[int, str]) -> list[Change]:
    """The changes of a scenario between two points: so many facts known, as of a day."""
    with fresh() as world:
        record(world.database, told(facts))
        (from_known, from_text), (to_known, to_text) = first, second
        with get_log_session(world.database) as session:
            points = (from_known, read_moment(from_text)), (to_known, read_moment(to_text))
            return changed(session, BOT, *points)


def changed(session: Session, name: str, first: tuple[int, Moment], second: tuple[int, Moment]) -> list[Change]:
    """The answer of `diff`."""
    before, learned, after = (Point(*first), Point(second[0], first[1]), Point(*second))
    return changes_of(History(session, before), History(session, learned), History(session, after), name)


def by_part(found: Sequence[Change]) -> dict[str, Fraction]:
    return {change.part: Fraction(change.change) for change in found}


def in_order(texts: Sequence[str]) -> list[Moment]:
    """The moments that these texts name, the earliest first."""
    return [read_moment(text) for text in sorted(texts, key=lambda text: read_moment(text).facts_before)]


def in_one_currency(messages: Sequence[Message]) -> list[Message]:
    """The same log, all in USD, and nothing but cash flows in."""
    terms = {"opening": {"USD": "1000"}, "base_currency": "USD", "holdings": {}}
    found = []
    for subject, said in messages:
        kept = {name: value for name, value in said.items() if name not in ("currency", "fee_currency", "cost")}
        found.append((subject, kept | terms if said["type"] == "bot_registered" else kept))
    return found


Figure = Callable[[View], Fraction]


def figures(
    fresh: Fresh, messages: Sequence[Message], moments: Sequence[Moment], wanted: dict[str, Figure]
) -> dict[tuple[str, Moment, str], Fraction]:
    """Figures of every bot's books at these moments."""
    found = {}
    with fresh() as world:
        record(world.database, messages)
        for at in moments:
            with asking(world.database, len(messages), at) as past:
                for view in views_of(past):
                    found.update({(view.name, at, name): figure(view) for name, figure in wanted.items()})
    return found


def unrealised(view: View) -> Fraction:
    value = sum((Fraction(held.market_value or 0) for held in view.rows.holdings.new), Fraction(0))
    return value - total(view.rows.lots.new, "cost_basis")


def realised(view: View) -> Fraction:
    return sum(map(Fraction, view.bot.realised_profit.values()), Fraction(0))


def fees(view: View) -> Fraction:
    return -sum(map(Fraction, view.bot.fees.values()), Fraction(0))


def paid(view: View) -> Fraction:
    return total([row for row in view.rows.movements if row.kind == "dividend"], "amount")


def charged(view: View) -> Fraction:
    return total([row for row in view.rows.movements if row.kind == "charge"], "amount")
