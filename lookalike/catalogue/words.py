"""A listing's words as models read them: title and description, and nothing about the sale.

`cleaned` is the one rule, for training and serving alike. It leaves out

- the site's own words: where the thing is and the site's name at the end of a title, and
  `Posted by NAME in SUBCATEGORY in TOWN. DATE`, which tells the category;
- how to reach the seller: telephone numbers, e-mail addresses, links, and what masks them;
- markup and what cannot be seen: tags, entities, control characters, marks of direction;
- what is beyond the first `MOST_READ` characters of each.

Letters of mathematical and other display alphabets become plain ones, white space one space. All
takes time in proportion to the text's length, whatever the text: others wait meanwhile.
"""

from __future__ import annotations

import html
import re

from lookalike.letters import plain
from lookalike.limits import MAX_TEXT_LENGTH

# Of a title and of a description, counted after the markup went. In real listings the 128 tokens
# that a tower reads by default took 727 characters at most; ten times as many hold up photos.
MOST_READ = 1024

# Titles end in where the thing is and the site's name: " | in Leeds, West Yorkshire | Gumtree".
_TITLE_SUFFIX = re.compile(r"\|\s*in [^|]*\|\s*Gumtree\s*$")
_MONTH = "(?:January|February|March|April|May|June|July|August|September|October|November|December)"
# Between its beginning and its end are names, subcategories and a town. The end is a date, or the
# text's where a name with a capital is before it: "Posted by hand in a box" is the seller's word.
# Neither part runs over the next one's beginning, so that no letter is looked at often.
_POSTED = re.compile(
    r"(?:(?-i:P)|\bp)osted by (?:(?!posted by )[^\n]){1,380}?"
    rf"(?:\.\s{{0,9}}(?:\d{{1,2}}\.? {_MONTH} \d{{4}}|{_MONTH} \d{{1,2}},? \d{{4}})(?:\.(?!\w))?"
    r"| in (?-i:[A-Z])(?:(?! in |posted by )[^\n.]){0,300}\.?\s{0,9}$)",
    re.IGNORECASE,
)
_TAG = re.compile(r"<(?:/?[A-Za-z][^<>]{0,500}|!--(?:(?!<!--|-->).){0,500}--)>", re.DOTALL)
# A number too great for any character, which Python would not even read.
_NO_CHARACTER = re.compile(r"&#[0-9]{8,};?")
_CONTACT = "|".join(
    (
        r"(?i:\[(?:phone|e-?mail|link|url)\])",
        r"(?i:https?://|www\.)\S{1,500}",
        r"(?<![\w.+-])[\w.+-]++@[\w-]{1,64}(?:\.[\w-]{1,64}){1,4}",
        # foo.com, a-b.co.uk/c; not "e.g.chair", "condition.In" or "ASP.NET": few endings, and none
        # that is a word, since sellers often leave out the space after a full stop.
        r"(?<![\w.-])(?:[\w-]++\.)+(?:com|net|org|biz|eu|(?:co|org|me|ltd)\.uk|COM|CO\.UK)"
        r"(?![\w-])(?:/\S{0,500})?",
        # 07700 900123, +44 (0)7700-900123, 00447700900123. Begins with 0 or +, and has 9 digits or
        # more: 0.5 m, 120.5x60, 00-12 and 2022 2023 2024 do not. Words around it often touch it.
        r"(?<!\d)(?<!\d[.,])(?:(?:\+|00)\d{1,3}[ -]?(?:\(0\)[ -]?)?|0)\d(?:[ -]?\d){7,11}(?!\d)",
        # (07700) 900 123, (+44) 7700 900123; not (0.5 m) or (2022) 100 200.
        r"\((?:\+\d{1,3}|0\d{1,5})\)[ -]?(?:\(0\)[ -]?)?\d(?:[ -]?\d){5,10}(?!\d)",
        # 07700.900.123, 07700.900123; not 05.06.2022 or the article number 005.678.90.
        r"(?<!\d)(?<!\d[.,])(?:(?:\+|00)\d{1,3}[ .-]\d|0\d)\d{1,4}"
        r"(?:(?:[ .-]\d{3,4}){2,3}|[ .-]\d{6})(?![.,]?\d)",
    )
)
# With the full stop that ends it.
_CONTACTS = re.compile(rf"(?:{_CONTACT})(?:\.(?!\S))?")


def without_site(title: str) -> str:
    """Returns a title without the place and the site's name at its end."""
    suffix = _TITLE_SUFFIX.search(title)
    return title[: suffix.start()].rstrip() if suffix else title


def cleaned(title: str, description: str = "") -> str:
    """Returns a listing's words in one line; empty if nothing is left.

    Args:
        title: As the seller wrote it; may be empty.
        description: Likewise.
    """
    return cleaned_and_cut(title, description)[0]


def cleaned_and_cut(title: str, description: str = "") -> tuple[str, bool]:
    """Returns the same, and whether there were more words than are read."""
    parts = _cleaned(without_site(title)), _cleaned(description)
    return ". ".join(words for words, _ in parts if words), any(cut for _, cut in parts)


def _cleaned(text: str) -> tuple[str, bool]:
    cut = len(text) > MAX_TEXT_LENGTH
    text = _TAG.sub(" ", _POSTED.sub(" ", text[:MAX_TEXT_LENGTH]))
    # Twice: pages hold what was escaped before it was escaped.
    text = _TAG.sub(" ", _unescaped(_unescaped(text)))
    text = " ".join(text.split())
    # Before and after: a single letter may stand for 18.
    normal = plain(text[:MOST_READ])
    cut = cut or max(len(text), len(normal)) > MOST_READ
    text = normal[:MOST_READ]
    return " ".join(_CONTACTS.sub(" ", text).split()), cut


def _unescaped(text: str) -> str:
    return html.unescape(_NO_CHARACTER.sub(" ", text))
