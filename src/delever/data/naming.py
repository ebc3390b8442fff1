"""Whose rows a file says it holds: in its name, in a column, in the name of a zip's member."""

from __future__ import annotations

import re

from delever.data.exchange.quirks import VENUES
from delever.errors import SchemaError

_QUOTES = ("USDT", "USDC", "FDUSD", "BUSD", "TUSD", "USD", "EUR", "GBP", "JPY", "BTC", "ETH", "BNB")
_ALIASES = {"XBT": "BTC", "XXBT": "BTC", "XDG": "DOGE", "XETH": "ETH", "ZUSD": "USD", "ZEUR": "EUR"}
# Tickers that are no words of English, so that a file's name means the coin.
_COINS = frozenset(
    (
        *("BTC", "XBT", "ETH", "SOL", "XRP", "ADA", "DOGE", "XDG", "BNB", "LTC", "BCH", "AVAX"),
        *("TRX", "SHIB", "XLM", "XMR", "EOS", "ETC", "FIL", "AAVE", "MATIC", "DASH", "ZEC"),
        *("ALGO", "ICP", "HBAR", "APT", "ARB", "SUI", "TON", "PEPE", "WIF", "LUNA"),
    )
)
_VENUES = frozenset(
    (
        *VENUES,
        *("bitfinex", "bitget", "bitmex", "coinbasepro", "ftx", "gemini", "htx", "huobi", "kucoin"),
        *("mexc", "poloniex", "yahoo"),
    )
)


def split_pair(text: str) -> str | None:
    """A pair in our writing, from one that may be written together.

    Examples
    --------
    >>> split_pair("XBTUSD"), split_pair("coinbase-btc-usd-spot"), split_pair("fear")
    ('BTC/USD', 'BTC/USD', None)
    """
    parts = [part for part in re.split(r"[^A-Z0-9]+", text.upper()) if part]
    if len(parts) == 1:
        # BNBUSD ends in BUSD too: the split that leaves a known coin goes before the others.
        quotes = [quote for quote in (*_QUOTES, "ZUSD", "ZEUR") if parts[0].endswith(quote)]
        splits = [[parts[0].removesuffix(quote), quote] for quote in quotes]
        splits.sort(key=lambda split: (split[0] not in _COINS, len(split[0]) < 3))
        parts = splits[0] if splits else []
    for place in range(len(parts) - 1, 0, -1):
        base, quote = map(_alias, parts[place - 1 : place + 1])
        if quote in _QUOTES and base and base.lower() not in _VENUES:
            return f"{base}/{quote}"
    return None


def coin_in(name: str) -> str | None:
    """The coin that a file is named for, such as ``btc.csv``."""
    stem = name.partition(".")[0].upper()
    return _alias(stem) if stem in _COINS else None


def pair_in(name: str) -> str | None:
    """The pair in a file's name, where a word of it is one: ``btcusd_1-min_data.csv``."""
    words = [word for word in re.split(r"[^A-Za-z0-9]+", name) if word]
    pairs = (split_pair(word) for word in words if _coin(word.upper()))
    return next((pair for pair in pairs if pair), None)


def check_symbol(found: str, symbol: str, where: str) -> None:
    """Hold the symbol that a file says against the one that was said.

    Raises SchemaError if it is another; the message names both. A series may have any name.
    """
    said = symbol.partition(":")[0]
    if "/" not in said:
        coins = [_coin(re.split(r"[^A-Z0-9]", text.upper())[0]) for text in (found, said)]
        if None not in coins and coins[0] != coins[1]:
            raise SchemaError(
                f"{where}: its rows are said to be of {symbol}; the file says {found[:40]}; give "
                "its own --symbol"
            )
        return
    spot = re.sub(r"(_PERP|PERP|\.P|-SWAP|:[A-Z]+)$", "", found.upper())
    own = split_pair(spot)
    if spot != found.upper() and ":" not in symbol:
        raise SchemaError(
            f"{where}: its rows are said to be of {symbol}; the file says {found[:40]}, a "
            f"perpetual; give its --symbol, such as {symbol}:{symbol.partition('/')[2]}"
        )
    base, quote = (_alias(part) for part in said.upper().split("/", 1))
    written = (own, _alias(spot), _bare(spot))
    if not {f"{base}/{quote}", base, base + quote} & set(written):
        raise SchemaError(
            f"{where}: its rows are said to be of {symbol}; the file says {found[:40]}; give "
            f"--symbol {own or found[:40]}, or the file of {symbol}"
        )


def check_names(where: str, symbol: str, venue: str) -> None:
    """Hold coin and venue in a file's name against those that were said.

    Raises SchemaError if it names others only. A name that says neither is as good.
    """
    words = [word for word in re.split(r"[^A-Za-z0-9]+", where) if word]
    coins = {coin for word in words if (coin := _coin(word.upper()))}
    base = _alias(symbol.upper().partition("/")[0])
    if re.match(r"[A-Z0-9]+/[A-Z0-9]", symbol.upper()) and coins and base not in coins:
        raise SchemaError(
            f"{where}: its rows are said to be of {symbol}; the file is named for "
            f"{', '.join(sorted(coins))}; give its own --symbol, or rename the file"
        )
    named = {word.lower() for word in words if word.lower() in _VENUES}
    if named and not any(_kin(one, venue) for one in named):
        raise SchemaError(
            f"{where}: its rows are said to be of {venue}; the file is named for "
            f"{', '.join(sorted(named))}; give its own --venue, or rename the file"
        )


def check_venue(found: str, venue: str, where: str) -> None:
    """Hold the venue in a column against the one that was said. Raises SchemaError."""
    if found.lower() in _VENUES and not _kin(found.lower(), venue):
        raise SchemaError(
            f"{where}: its rows are said to be of {venue}; the file says {found[:40]}; give its "
            "own --venue, or the rows of one"
        )


def _kin(one: str, venue: str) -> bool:
    """Whether a known venue may be meant by the one that was said, which may have any name."""
    return venue not in _VENUES or one.startswith(venue) or venue.startswith(one)


def _coin(word: str) -> str | None:
    """The coin a word of a name means, if any: alone, or together with what it is quoted in."""
    if word in _COINS:
        return _alias(word)
    quote = next((quote for quote in _QUOTES[:9] if word.endswith(quote)), "")
    base = word.removesuffix(quote) if quote else ""
    pair = re.fullmatch(r"[A-Z0-9]{3,10}", base) and base.lower() not in _VENUES
    return _alias(base) if pair else None


def _alias(coin: str) -> str:
    return _ALIASES.get(coin, coin)


def _bare(text: str) -> str:
    return re.sub(r"[^A-Z0-9]", "", text.upper())
