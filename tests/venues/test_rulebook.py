from __future__ import annotations

import datetime as dt
import hashlib
import math
from pathlib import Path

import pandas as pd
import pytest
from tests.venues.margin_reference import margin_lines

from delever.errors import ConfigError, DataError, InputError
from delever.venues.brackets import check_leverage
from delever.venues.margin import liquidation_price
from delever.venues.margin_formulas import FORMULAS
from delever.venues.rulebook import load_rulebook
from delever.venues.rules import Fees

VENUES = Path(__file__).parents[2] / "data" / "venues"
BTC = "BTC/USDT:USDT"

BOOK = """
venue = "here"
title = "A venue"
assume_before = false

[[contracts]]
symbol = "BTC/USDT:USDT"
kind = "linear"
contract_size = 1
tick = 0.1
lot = 0.001
funding_hours = [8]
source = "s"
as_of = 2020-01-01

[[fees]]
symbols = ["BTC/USDT:USDT"]
valid_from = 2021-01-01
maker = 0.0002
taker = 0.0005
liquidation = 0.01
source = "s"
as_of = 2021-01-01

[[fees]]
symbols = ["BTC/USDT:USDT"]
valid_from = 2020-01-01
maker = -0.0001
taker = 0.0004
liquidation = 0.0
source = "s"
as_of = 2020-01-01

[[margin]]
symbols = ["BTC/USDT:USDT"]
valid_from = 2020-06-01
formula = "binance_linear"
progressive = true
brackets = [[100, 0.01, 50, 0], [200, 0.02, 25, 1]]
source = "s"
as_of = 2020-06-01
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "here.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_rules_hold_from_their_day(tmp_path: Path) -> None:
    path = write(tmp_path, BOOK)
    book = load_rulebook(path)
    assert book.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    before, after = book.at(dt.date(2020, 12, 31), BTC), book.at(dt.date(2021, 1, 1), BTC)
    assert before.fees == Fees(maker=-0.0001, taker=0.0004, liquidation=0.0)
    assert after.fees == Fees(maker=0.0002, taker=0.0005, liquidation=0.01)
    assert (before.valid_from, after.valid_from) == (dt.date(2020, 6, 1), dt.date(2021, 1, 1))
    assert before.brackets == after.brackets
    assert before.brackets[1].maintenance_amount == pytest.approx(1.0)
    assert before.formula is FORMULAS["binance_linear"]
    assert (before.contract.tick, before.contract.lot, before.notes) == (0.1, 0.001, ())


def test_a_moment_belongs_to_its_day_in_utc(tmp_path: Path) -> None:
    book = load_rulebook(write(tmp_path, BOOK))
    late = pd.Timestamp("2020-12-31 20:00", tz="America/New_York")  # 01:00 UTC on the next day
    assert book.at(late, BTC).fees.taker == 0.0005
    assert book.at(pd.Timestamp("2020-12-31 23:59", tz="UTC"), BTC).fees.taker == 0.0004


def test_a_span_lists_every_change(tmp_path: Path) -> None:
    book = load_rulebook(write(tmp_path, BOOK))
    rules = book.between(dt.date(2020, 7, 1), dt.date(2021, 1, 1), BTC)
    assert [rule.fees.taker for rule in rules] == [0.0004, 0.0005]
    assert rules[1].valid_from == dt.date(2021, 1, 1)
    assert len(book.between(dt.date(2020, 7, 1), dt.date(2020, 12, 31), BTC)) == 1


def test_what_is_used_longer_than_it_is_said_to_be_valid_is_named(tmp_path: Path) -> None:
    silent = load_rulebook(write(tmp_path, BOOK))
    span = dt.date(2020, 7, 1), dt.date(2021, 12, 31)
    assert all(not rules.notes for rules in silent.between(*span, BTC))
    text = BOOK.replace("assume_before = false", "assume_before = false\nvalid_days = 300")
    book = load_rulebook(write(tmp_path, text))
    first, *later = book.between(*span, BTC)
    # The fees of 2020 give way to those of 2021-01-01 after 214 days; the brackets are not renewed.
    said = f"here: brackets of {BTC} known on 2020-06-01 were used until 2021-12-31; after 300 days"
    assert [note[: len(said)] for note in first.notes if "brackets" in note] == [said]
    assert not any(rules.notes for rules in later)
    assert not any(rules.notes for rules in book.between(span[0], dt.date(2020, 10, 1), BTC))
    with pytest.raises(ConfigError, match="valid_days must be a whole number of days, 1 or more"):
        load_rulebook(write(tmp_path, text.replace("valid_days = 300", "valid_days = 0")))


def test_the_shipped_brackets_of_2021_are_not_used_for_years_without_a_word() -> None:
    book = load_rulebook(Path(__file__).parents[2] / "data" / "venues" / "binanceusdm.toml")
    (rules, *_) = book.between(dt.date(2024, 1, 1), dt.date(2026, 8, 31), BTC)
    assert rules.notes == (
        f"binanceusdm: brackets of {BTC} known on 2021-03-26 were used until 2026-08-31; after 365 "
        "days the venue may have had others, which its rulebook does not know",
    )


def test_a_date_before_the_brackets_is_refused(tmp_path: Path) -> None:
    book = load_rulebook(write(tmp_path, BOOK))
    with pytest.raises(DataError, match=r"brackets missing for the date: .* none on 2020-05-31"):
        book.at(dt.date(2020, 5, 31), BTC)
    with pytest.raises(DataError, match="fees missing for the date"):
        book.at(dt.date(2019, 12, 31), BTC)


def test_rules_may_be_assumed_backwards_and_say_so(tmp_path: Path) -> None:
    text = BOOK.replace("assume_before = false", "assume_before = true")
    rules = load_rulebook(write(tmp_path, text)).at(dt.date(2020, 3, 12), BTC)
    assert rules.notes == (f"here: brackets of {BTC} from 2020-06-01 were used from 2020-03-12 on",)
    assert len(rules.brackets) == 2


def test_an_unlisted_symbol_is_refused(tmp_path: Path) -> None:
    book = load_rulebook(write(tmp_path, BOOK))
    with pytest.raises(InputError, match=r"one of BTC/USDT:USDT; got 'ETH/USDT:USDT'"):
        book.at(dt.date(2021, 1, 1), "ETH/USDT:USDT")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('title = "A venue"', 'title = "A venue"\nowner = "x"', "the file has the unknown key 'ow"),
        ('title = "A venue"\n', "", "the file must have title"),
        ("assume_before = false", "assume_before = 0", "assume_before must be true or false"),
        ("tick = 0.1", 'tick = "0.1"', "contract number 1: tick must be a number"),
        ("tick = 0.1", "tick = nan", "contract number 1: tick must be a number"),
        ("lot = 0.001", "lot = -1", "contract number 1: .*lot must be a positive step"),
        ('kind = "linear"', 'kind = "odd"', "kind must be 'linear' or 'inverse'"),
        ("funding_hours = [8]", "funding_hours = [6]", "funding_hours must be among"),
        ("funding_hours = [8]", "funding_hours = []", "funding_hours must be an array that is not"),
        ("valid_from = 2021-01-01", 'valid_from = "2021"', "fees number 1: valid_from must be a d"),
        (
            "valid_from = 2021-01-01",
            "valid_from = 2021-01-01T00:00:00Z",
            "fees number 1: valid_from must be a date",
        ),
        ("taker = 0.0005", "taker = 5", "fees number 1 must be fractions"),
        ("valid_from = 2020-01-01", "valid_from = 2021-01-01", "two begin on 2021-01-01"),
        ('"binance_linear"', '"binance"', "margin number 1: formula must be one of"),
        ("progressive = true", "progressive = false", "margin number 1: .*must be progressive"),
        ('"binance_linear"', '"okx_linear"', "margin number 1: .*must not be progressive"),
        ("[200, 0.02, 25, 1]", "[200, 0.02, 25, 2]", "row 2: the amount must be 1, which"),
        ("[200, 0.02, 25, 1]", "[200, 0.02]", r"row 2 must be \[cap, rate, leverage\]"),
        ("[200, 0.02, 25, 1]", "[200, 0.02, true]", r"row 2 must be \[cap, rate, leverage\]"),
        ("[200, 0.02, 25, 1]", "[50, 0.02, 25, 1]", "row 2 must have a cap above 100"),
        ("[[fees]]\nsymbols = [", '[[fees]]\nsymbols = ["ETH/USDT:USDT", ', "'ETH/USDT:USDT' is"),
        ("[[margin]]", "[[margins]]", "unknown key 'margins'"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in BOOK
    with pytest.raises(ConfigError, match=said) as caught:
        load_rulebook(write(tmp_path, BOOK.replace(old, new, 1)))
    assert "here.toml: " in str(caught.value)


def test_a_contract_is_listed_once_and_has_rules(tmp_path: Path) -> None:
    contract = BOOK[BOOK.index("[[contracts]]") : BOOK.index("[[fees]]")]
    with pytest.raises(ConfigError, match="repeats"):
        load_rulebook(write(tmp_path, BOOK + contract))
    other = contract.replace("BTC/", "ETH/")
    with pytest.raises(ConfigError, match=r"ETH/USDT:USDT must have fees; it has none"):
        load_rulebook(write(tmp_path, BOOK + other))


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is none"):
        load_rulebook(tmp_path / "nowhere.toml")
    with pytest.raises(ConfigError, match="must be TOML"):
        load_rulebook(write(tmp_path, "venue ="))


@pytest.mark.parametrize("path", sorted(VENUES.glob("*.toml")), ids=lambda path: path.stem)
def test_shipped_rulebooks_answer_for_every_contract(path: Path) -> None:
    book = load_rulebook(path)
    assert book.venue == path.stem
    for symbol in book.listings:
        rules = book.at(dt.date(2026, 11, 1), "ETH/USDT:USDT" if symbol == "*" else symbol)
        assert rules.notes == ()
        size = min(rules.brackets[0].cap, 1_000.0)
        check_leverage(rules.brackets[0].max_leverage, size, rules.brackets)
        inverse = rules.contract.inverse
        price = 60_000.0
        position = size * price if inverse else size / price
        lines = margin_lines(
            rules.formula,
            rules.brackets,
            position=position,
            entry_price=price,
            taker_fee=rules.fees.taker,
            inverse=inverse,
        )
        got = liquidation_price(position, price, size / 10.0, lines, inverse=inverse)
        assert 0.89 * price < got < 0.925 * price


def test_binance_has_the_tables_of_three_dates() -> None:
    """Amounts as the venue published them; a 5x long opened before the fall of March 2020."""
    book = load_rulebook(VENUES / "binanceusdm.toml")
    amounts = [
        book.at(day, BTC).brackets[4].maintenance_amount
        for day in (dt.date(2020, 12, 1), dt.date(2021, 12, 1), dt.date(2026, 11, 1))
    ]
    assert amounts == pytest.approx([141_300.0, 266_300.0, 132_000.0], rel=1e-12)
    rules = book.at(dt.date(2020, 3, 12), BTC)
    assert len(rules.notes) == 2
    lines = margin_lines(rules.formula, rules.brackets, position=1.0, entry_price=7_900.0)
    got = liquidation_price(1.0, 7_900.0, 7_900.0 / 5, lines)
    assert got == pytest.approx(7_900 * 0.8 / 0.996, rel=1e-12)
    with pytest.raises(InputError, match="at most 125"):
        check_leverage(126.0, 7_900.0, rules.brackets)


def test_every_symbol_has_the_generic_rules() -> None:
    book = load_rulebook(VENUES / "generic.toml")
    rules = book.at(dt.date(2013, 4, 10), "DOGE/USDT:USDT")
    assert rules.contract.symbol == "DOGE/USDT:USDT"
    assert rules.brackets[0].cap == math.inf
    assert not rules.contract.inverse
    assert book.at(dt.date(2013, 4, 10), "BTC/USD:BTC").contract.inverse
    with pytest.raises(DataError, match="missing for the date"):
        book.at(dt.date(2009, 1, 2), BTC)


def test_the_page_names_every_formula_and_every_rulebook() -> None:
    page = (VENUES.parents[1] / "docs" / "venues.md").read_text(encoding="utf-8")
    tables = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
    named = {name for cell in tables for name in cell.replace("`", "").replace(" ", "").split(",")}
    assert named == set(FORMULAS) | {path.stem for path in VENUES.glob("*.toml")}


ACCOUNTS = """
[[accounts]]
valid_from = 2020-06-01
cut = "whole"
size = 0
above = 0
first = "largest_loss"
source = "s"
as_of = 2020-06-01

[[accounts]]
valid_from = 2021-06-01
cut = "tier"
size = 2
above = 1000
first = "largest_margin"
source = "s"
as_of = 2021-06-01

[[collateral]]
assets = ["BTC", "ETH"]
valid_from = 2020-06-01
counted = 0.95
source = "s"
as_of = 2020-06-01
"""


def test_rules_of_accounts_hold_from_their_day(tmp_path: Path) -> None:
    book = load_rulebook(write(tmp_path, BOOK + ACCOUNTS))
    days = [dt.date(2021, 5, 31), dt.date(2021, 6, 1)]
    found, notes = book.dated(book.accounts, days, "liquidation rules")
    assert [rule.cut for rule in found] == ["whole", "tier"]
    assert (found[1].size, found[1].above, found[1].first) == (2.0, 1_000.0, "largest_margin")
    assert {asset: rows[0].rule for asset, rows in book.collateral.items()} == {
        "BTC": 0.95,
        "ETH": 0.95,
    }
    assert notes == ()
    with pytest.raises(DataError, match="liquidation rules missing for the date"):
        book.dated(book.accounts, [dt.date(2019, 1, 1)], "liquidation rules")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('cut = "tier"', 'cut = "half"', "accounts number 2 must cut 'whole'"),
        ("size = 2", "size = 0.5", "by 'tier' .1 to 3 brackets"),
        ("2021-06-01\ncut", "2020-06-01\ncut", "accounts must begin on different days"),
        ("counted = 0.95", "counted = 95", "counted must be a share of the value from 0 to 1"),
        ('first = "largest_margin"\n', "", "accounts number 2 must have first"),
    ],
)
def test_rules_of_accounts_that_cannot_be_are_refused(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        load_rulebook(write(tmp_path, BOOK + ACCOUNTS.replace(old, new)))
