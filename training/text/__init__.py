"""The text tower: words of listings → the outputs that photos have."""
