"""A listing's words as models read them: title and description, and nothing about the sale.

`cleaned` is the one rule, for training and serving alike. It leaves out

- the site's own words: where the thing is and the site's name at the end of a title, and
  `Posted by NAME in SUBCATEGORY in TOWN. DATE`, which tells the category;
- how to reach the seller: telephone numbers, e-mail addresses, links, and what masks them;
- markup and what cannot be seen: tags, entities, control characters, marks of direction.

Letters of mathematical and other display alphabets become plain ones, white space one space.
"""

from __future__ import annotations

import html
import re
import unicodedata

# Titles end in where the thing is and the site's name: " | in Leeds, West Yorkshire | Gumtree".
_TITLE_SUFFIX = re.compile(r"\s*\|\s*in [^|]*\|\s*Gumtree\s*$")
_MONTH = "(?:January|February|March|April|May|June|July|August|September|October|November|December)"
# Ends with a date or with the description; between them names, subcategories and a town.
_POSTED = re.compile(
    r"Posted by [^\n]{1,80}?(?: in [^\n]{1,300}?)?\.\s*"
    rf"(?:\d{{1,2}}\.? {_MONTH} \d{{4}}|{_MONTH} \d{{1,2}},? \d{{4}}|$)"
)
_TAG = re.compile(r"<(?:/?[A-Za-z][^<>]{0,500}|!--.{0,500}?--)>", re.DOTALL)
_CONTACTS = (
    re.compile(r"\[(?:phone|e-?mail|link|url)\]", re.IGNORECASE),
    re.compile(r"(?:https?://|www\.)\S{1,500}", re.IGNORECASE),
    re.compile(r"[\w.+-]{1,64}@[\w-]{1,64}(?:\.[\w-]{1,64}){1,4}"),
    # Begins with 0 or +, and has 9 digits or more: measures of furniture do not. Words around it
    # often touch it.
    re.compile(r"(?<![\d.,])(?:\+\d{1,3}[ -]?(?:\(0\)[ -]?)?|0)\d(?:[ -]?\d){7,11}(?!\d)"),
)
_KEPT_INVISIBLE = "\u200d\ufe0f"  # which join an emoji's parts


def without_site(title: str) -> str:
    """Returns a title without the place and the site's name at its end."""
    return _TITLE_SUFFIX.sub("", title)


def cleaned(title: str, description: str = "") -> str:
    """Returns a listing's words in one line; empty if nothing is left.

    Args:
        title: As the seller wrote it; may be empty.
        description: Likewise.
    """
    parts = (_cleaned(without_site(title)), _cleaned(_POSTED.sub(" ", description)))
    return ". ".join(part for part in parts if part)


def _cleaned(text: str) -> str:
    # Twice: pages hold what was escaped before it was escaped.
    text = html.unescape(html.unescape(_TAG.sub(" ", text)))
    text = unicodedata.normalize("NFKC", _TAG.sub(" ", text))
    text = "".join(_visible(letter) for letter in text)
    for contact in _CONTACTS:
        text = contact.sub(" ", text)
    return " ".join(text.split())


def _visible(letter: str) -> str:
    if letter.isprintable() or letter in _KEPT_INVISIBLE:
        return letter
    # Marks of direction vanish within words; control characters part them.
    return "" if unicodedata.category(letter) in ("Cf", "Cs", "Co", "Cn") else " "
