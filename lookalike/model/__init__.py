"""What a model is: its bundle on disk, photos as it takes them, engines that compute it.

Serving and training share it, so that neither can drift from the other. The wheel leaves it out.
"""
