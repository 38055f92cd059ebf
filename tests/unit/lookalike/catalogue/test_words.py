"""What is left of a listing's words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lookalike.catalogue.words import cleaned, without_site

POSTED = "Posted by Ada in Phones, Cases & Covers in Leeds. "


@pytest.mark.parametrize(
    ("title", "description", "left"),
    [
        ("Oak desk | in Leeds, West Yorkshire | Gumtree", "Sturdy.", "Oak desk. Sturdy."),
        ("Oak desk", "", "Oak desk"),
        ("", "Sturdy", "Sturdy"),
        (" \n ", "\t", ""),
        # The site's own words, which tell the category.
        ("Case", f"As new. {POSTED}25 February 2022", "Case. As new."),
        ("Case", f"As new. {POSTED}February 25, 2022", "Case. As new."),
        ("Case", f"As new. {POSTED}5. May 2023Size 45x45", "Case. As new. Size 45x45"),
        ("Case", "As new. Posted by ADA, in Leeds.", "Case. As new."),
        ("Note", "Posted by hand in a box", "Note. Posted by hand in a box"),
        # How to reach the seller.
        ("Van", "Call 07700 900123 or +44 (0)7700-900123 now", "Van. Call or now"),
        ("Van", "text there07700900123ta", "Van. text there ta"),
        ("Van", "See www.a.example/b?c=1, https://b.example", "Van. See"),
        ("Van", "Mail a.b+c@d-e.example.org please [phone] [EMAIL]", "Van. Mail please"),
        ("Table", "0.5 m, 100 200 300 cm, 1200x600", "Table. 0.5 m, 100 200 300 cm, 1200x600"),
        ("Card", "serial 00-12, 2022 2023 2024", "Card. serial 00-12, 2022 2023 2024"),
        # Markup, and what cannot be seen.
        ("<b>Sofa</b>", "Tan &amp;amp; red<br/>2 &lt;i&gt;up&lt;/i&gt;", "Sofa. Tan & red 2 up"),
        ("a < b", "I <3 it, 5 > 4", "a < b. I <3 it, 5 > 4"),
        ("A\x00B\x07C", "so\u00adft \u202egnol\u202c", "A B C. soft gnol"),
        ("\U0001d401\U0001d41e\U0001d41d ﬁne", "½ price", "Bed fine. 1⁄2 price"),
        ("كرسي أخضر", "כיסא 👨\u200d👧 ❤\ufe0f", "كرسي أخضر. כיסא 👨\u200d👧 ❤\ufe0f"),
    ],
)  # fmt: skip
def test_what_is_left(title: str, description: str, left: str) -> None:
    assert cleaned(title, description) == left


def test_a_title_keeps_what_only_looks_like_the_site() -> None:
    assert without_site("Sign | in Leeds") == "Sign | in Leeds"


@given(st.text(), st.text())
def test_any_text_becomes_one_line(title: str, description: str) -> None:
    words = cleaned(title, description)
    assert words == " ".join(words.split())
    assert all(letter.isprintable() or letter in "\u200d\ufe0f" for letter in words)
