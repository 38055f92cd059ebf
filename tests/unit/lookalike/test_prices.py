"""Prices as sellers write them and as people read them."""

from __future__ import annotations

import pytest

from lookalike.prices import parse_price, price_text


@pytest.mark.parametrize(
    ("text", "amount", "currency"),
    [
        ("£1,250.00", 1250.0, "GBP"),
        (" £ 0.99 ", 0.99, "GBP"),
        ("€5", 5.0, "EUR"),
        ("5.50 €", 5.5, "EUR"),
        ("$5", 5.0, "USD"),
        ("US$5", 5.0, "USD"),
        ("US$ 1,000", 1000.0, "USD"),
        ("¥1200", 1200.0, "JPY"),
        ("CHF 1,250.00", 1250.0, "CHF"),
        ("1,250 CHF", 1250.0, "CHF"),
        ("GBP5", 5.0, "GBP"),
        ("1,234,567", 1234567.0, ""),
        ("12000.5", 12000.5, ""),
    ],
)
def test_a_price_has_an_amount_and_the_currency_that_it_names(
    text: str, amount: float, currency: str
) -> None:
    assert parse_price(text) == (amount, currency)


@pytest.mark.parametrize(
    "text",
    [
        *("", "free", "£", "GBP", "£12,50.00", "£1.2.3", "-£5", "£-5", "£1e9", "££5"),
        *("£" + "9" * 400, "5 ono", "5 ONO", "5 for 10", "£5 GBP", "A$5"),
    ],
)
def test_what_is_no_price_is_none(text: str) -> None:
    assert parse_price(text) is None


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        (1250.0, "GBP", "£1,250.00"),
        (0.5, "EUR", "€0.50"),
        (5.0, "USD", "$5.00"),
        (1250.0, "JPY", "¥1,250"),
        (1250.0, "CHF", "CHF 1,250.00"),
        (1250.0, "", "1,250.00"),
    ],
)
def test_a_price_is_shown_with_its_currency_and_none_is_made_up(
    amount: float, currency: str, text: str
) -> None:
    assert price_text(amount, currency) == text


@pytest.mark.parametrize(
    ("amount", "text"), [(119.6, "£120"), (10.0, "£10"), (9.994, "£9.99"), (0.0, "£0.00")]
)
def test_an_estimate_has_no_pence_where_they_say_nothing(amount: float, text: str) -> None:
    assert price_text(amount, "GBP", rounded=True) == text
