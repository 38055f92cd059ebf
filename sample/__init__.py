"""A made-up marketplace in the raw format, so that nothing here needs a download.

`marketplace` writes the listings with their flaws, `text` and `words` say what sellers write,
`oddities` spoils photos, and `drawings` draws them.
"""

from sample.marketplace import (
    FEWEST_LISTINGS,
    SampleError,
    SampleExistsError,
    SampleSummary,
    category_slug,
    write_sample,
)

__all__ = [
    "FEWEST_LISTINGS",
    "SampleError",
    "SampleExistsError",
    "SampleSummary",
    "category_slug",
    "write_sample",
]
