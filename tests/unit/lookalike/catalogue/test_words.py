"""What is left of a listing's words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lookalike.catalogue.words import MOST_READ, cleaned, cleaned_and_cut, without_site
from lookalike.limits import MAX_TEXT_LENGTH

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
        ("Case", f"As new. {POSTED}25 February 2022.", "Case. As new."),
        ("Case", f"As new.{POSTED.lower()}25 february 2022", "Case. As new."),
        ("Case", "As new. posted by Ada in Phones in Leeds", "Case. As new."),
        (f"Case {POSTED}5 May 2023", "As new", "Case. As new"),
        ("Case posted by Ada in Phones", "", "Case"),
        ("", f"{POSTED}5 May 2023.", ""),
        ("Note", "Posted by hand in a box", "Note. Posted by hand in a box"),
        ("Note", "Posted by courier. Ask me", "Note. Posted by courier. Ask me"),
        ("Heap", "composted by Ada in Leeds", "Heap. composted by Ada in Leeds"),
        # How to reach the seller.
        ("Van", "Call 07700 900123 or +44 (0)7700-900123 now", "Van. Call or now"),
        ("Van", "text there07700900123ta", "Van. text there ta"),
        ("Van", "See www.a.example/b?c=1, https://b.example", "Van. See"),
        ("Van", "Mail a.b+c@d-e.example.org please [phone] [EMAIL]", "Van. Mail please"),
        ("Van", "Ring 00447700900123, 0044 7700 900 123.", "Van. Ring ,"),
        ("Van", "Ring (07700) 900 123 (020)79460958 (+44) 7700 900123", "Van. Ring"),
        ("Van", "Ring 07700.900.123, 07700.900123. 020 7946.0958.", "Van. Ring ,"),
        ("Van", "Tel.07700900123.", "Van. Tel."),
        ("07700900123.", "", ""),
        ("Van foo.com", "a-b.co.uk/c?d=1, Foo.Net FOO.COM.", "Van. Foo.Net"),
        # What only looks like it.
        ("Table", "0.5 m, 100 200 300 cm, 1200x600", "Table. 0.5 m, 100 200 300 cm, 1200x600"),
        ("Card", "serial 00-12, 2022 2023 2024", "Card. serial 00-12, 2022 2023 2024"),
        ("Desk", "120.5x60 No.5 2.5kg e.g.chair", "Desk. 120.5x60 No.5 2.5kg e.g.chair"),
        ("Desk", "05.06.2022 10 (2019) 100 200 300", "Desk. 05.06.2022 10 (2019) 100 200 300"),
        ("Desk", "£0.99 £1,050.00 (0.5 m)", "Desk. £0.99 £1,050.00 (0.5 m)"),
        ("Desk", "005.678.90 RTX-3070 v1.0.12.345", "Desk. 005.678.90 RTX-3070 v1.0.12.345"),
        ("Desk", "condition.In top.It's ASP.NET", "Desk. condition.In top.It's ASP.NET"),
        ("Desk", "x.community y.company z.comfy", "Desk. x.community y.company z.comfy"),
        # Markup, and what cannot be seen.
        ("<b>Sofa</b>", "Tan &amp;amp; red<br/>2 &lt;i&gt;up&lt;/i&gt;", "Sofa. Tan & red 2 up"),
        ("Desk <!-- a <b> c -->", "<!-- <!-- d -->oak <!-- e", "Desk. <!-- oak <!-- e"),
        (f"Desk &#{'9' * 5000};", f"&amp;#{'9' * 5000};oak", "Desk. oak"),
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


def test_the_first_characters_of_each_are_read() -> None:
    title, description = "oak " * MOST_READ, "ash " * MOST_READ
    words, cut = cleaned_and_cut(f"<b>{title}", description)
    assert cut
    assert (words.count("oak"), words.count("ash")) == (MOST_READ // 4, MOST_READ // 4)
    assert cleaned_and_cut("oak", " " * MOST_READ * 4) == ("oak", False)


def test_a_letter_that_stands_for_many_is_cut_after_it_was_replaced() -> None:
    words, cut = cleaned_and_cut("\ufdfa" * MOST_READ)
    assert cut
    assert len(words) <= MOST_READ


@pytest.mark.parametrize("hostile", ["\ufdfa", "<!--", "|in ", "a@a.", "&amp;", "Posted by "])
def test_of_a_long_text_the_first_words_are_read(hostile: str) -> None:
    text = f"oak {hostile * MAX_TEXT_LENGTH}"
    words, cut = cleaned_and_cut(text, text)
    assert (words.startswith("oak"), cut) == (True, True)
    assert len(words) <= 2 * MOST_READ + len(". ")
