"""A made-up marketplace in the raw format, so that nothing here needs a download.

`marketplace` writes listings and their flaws, `text` and `words` the sellers' texts, `oddities`
damages photos, and `drawings` draws them.
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
