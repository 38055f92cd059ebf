"""From arrays to arrays, in cells: open it as a notebook, or run it.

`EMBEDDER=127.0.0.1:50051 python examples/numpy_notebook.py`; needs Pillow, to send arrays.
"""

# %% Photos may be arrays: here are two colours, each with and without noise
import os

import numpy as np

from lookalike import Client, Embedding

dice = np.random.default_rng(1)
plain = [np.full((96, 96, 3), colour, np.uint8) for colour in ((200, 30, 30), (30, 30, 200))]
noisy = [photo + dice.integers(0, 25, photo.shape, np.uint8) for photo in plain]

# %% What does the embedder serve?
client = Client(embedder=os.environ.get("EMBEDDER", "127.0.0.1:50051"))
model = client.model()
print(model.name, model.version, [(output.name, output.dimension) for output in model.outputs])

# %% One photo; an Embedding is as good as an array
one = client.embed(plain[0])
print(np.asarray(one).dtype, np.linalg.norm(one))

# %% All of them, in the order that they are in
found = client.embed_many(enumerate([*plain, *noisy]), ordered=True)
vectors = np.stack([outcome for _, outcome in found if isinstance(outcome, Embedding)])
print(vectors.shape)

# %% How far is each from each? (squared, as the catalogue measures it)
distances = ((vectors[:, None] - vectors[None]) ** 2).sum(axis=-1)
print(distances.round(3))

# %%
client.close()
