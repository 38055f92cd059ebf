"""The model: its bundle on disk, the preprocessing of photos, and the engines that run it.

Serving and training share this package, so the two cannot drift apart. The wheel leaves it out.
"""
