"""Parses prices as sellers write them, and formats them for people."""

from __future__ import annotations

import re
from typing import NamedTuple

# Currency signs, longer ones first: `US$` ends in another sign.
_CURRENCY_OF = {"US$": "USD", "£": "GBP", "€": "EUR", "$": "USD", "¥": "JPY"}
_SIGN_OF = {code: sign for sign, code in _CURRENCY_OF.items()}  # `$` is the last for USD
# Currencies without a smaller unit in use.
_WHOLE = frozenset({"CLP", "ISK", "JPY", "KRW", "VND"})
# ISO 4217, currencies in use. Any other three letters may be a word (`5 ONO`).
_ISO_4217 = """
    AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP
    BYN BZD CAD CDF CHF CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP
    GEL GHS GIP GMD GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR
    KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK
    MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR
    SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS
    UAH UGX USD UYU UZS VED VES VND VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW ZWG
"""
_CODES = frozenset(_ISO_4217.split())

_MARK = "|".join([*map(re.escape, _CURRENCY_OF), "[A-Z]{3}"])
# At most 15 digits before the point: all are exact in a float, and none is infinite.
_AMOUNT = r"(?:\d{1,3}(?:,\d{3}){1,4}|\d{1,15})(?:\.\d+)?"
_PRICE = re.compile(rf"^\s*(?P<before>{_MARK})?\s*(?P<amount>{_AMOUNT})\s*(?P<after>{_MARK})?\s*$")


class Price(NamedTuple):
    """An amount and its currency: three letters of ISO 4217, or empty if unknown."""

    amount: float
    currency: str


def parse_price(text: str) -> Price | None:
    """Parses a price such as `£1,250.00`, `5 EUR` or `12.50`; None if the text is none.

    The currency is a sign, or a code in capitals, before or after the amount.
    """
    match = _PRICE.match(text)
    if match is None or (match["before"] and match["after"]):
        return None
    mark = match["before"] or match["after"] or ""
    currency = _CURRENCY_OF.get(mark, mark)
    if currency and currency not in _CODES:
        return None
    return Price(float(match["amount"].replace(",", "")), currency)


def price_text(amount: float, currency: str = "", *, rounded: bool = False) -> str:
    """Returns a price as people write it, such as `£1,250.00`, `CHF 1,250.00` or `1,250.00`.

    Args:
        amount: The amount.
        currency: Three letters; empty if unknown, then no sign is shown.
        rounded: Round amounts of 10 or more to whole units, as for an estimate.
    """
    whole = currency in _WHOLE or (rounded and amount >= 10)
    number = f"{amount:,.{0 if whole else 2}f}"
    sign = _SIGN_OF.get(currency, f"{currency} " if currency else "")
    return sign + number
