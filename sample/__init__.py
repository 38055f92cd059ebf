"""A made-up marketplace in the raw format, so that nothing here needs a download.

`marketplace` writes listings and their flaws, `text` and `words` the sellers' texts, `oddities`
damages photos, and `drawings` draws them.
"""
