"""A map of photos, on which similar vectors lie close together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.patches import Rectangle
from numpy.typing import NDArray
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits

from lookalike.catalogue.sheets import FRAME, PAPER, shown
from training.report.style import drawing, look, short

MOST = 1500  # photos; more take long and overlap
LEAST = 5
PERPLEXITY = 30
_SEED = 7
_SIDE = 0.058  # side of a thumbnail, as a share of the map's
_GAP = 1.4  # between centres of thumbnails, in thumbnails, so that points stay visible between them
_PIXELS = 110


def sampled(photos: int) -> NDArray[np.int64]:
    """Returns a reproducible sample of rows, in order."""
    dice = np.random.default_rng(_SEED)
    return np.sort(dice.choice(photos, min(MOST, photos), replace=False))


def plane_of(vectors: NDArray[np.float32]) -> NDArray[np.float64]:
    """Projects vectors by t-SNE to shape (vectors, 2), from 0 to 1.

    Van der Maaten and Hinton 2008, "Visualizing Data using t-SNE".
    """
    # The method needs a perplexity below the number of points, and a third of it to make sense.
    perplexity = min(PERPLEXITY, (len(vectors) - 1) / 3)
    # Starting from principal components keeps the layout stable, but needs two of them.
    init = "pca" if vectors.shape[1] > 1 and np.ptp(vectors, axis=0).any() else "random"
    method = TSNE(perplexity=perplexity, init=init, random_state=_SEED)
    # Its threads wait for each other by spinning: on shared cores, two threads took 20 s for 40
    # points, and one took less than 1 s.
    with threadpool_limits(1):
        places = method.fit_transform(vectors.astype(np.float64))
    low, high = places.min(axis=0), places.max(axis=0)
    plane: NDArray[np.float64] = (places - low) / max(1e-9, float((high - low).max()))
    return plane


def spread(places: NDArray[np.float64], distance: float) -> list[int]:
    """Selects points that cover the map, at least `distance` apart on one of the axes.

    Each next point is the farthest from those selected, so the dense middle gets no more than the
    edges.
    """
    chosen = [int(np.abs(places - np.median(places, axis=0)).max(axis=1).argmin())]
    while True:
        gaps = np.abs(places[:, None] - places[chosen]).max(axis=2).min(axis=1)
        farthest = int(gaps.argmax())
        if gaps[farthest] < distance:
            return chosen
        chosen.append(farthest)


def draw_map(
    vectors: NDArray[np.float32], groups: NDArray[np.str_], photos: NDArray[np.str_], out: Path
) -> None:
    """Draws each photo as a point in its group's colour, and some as thumbnails.

    Args:
        vectors: Of shape (photos, dimension), at least 5 photos.
        groups: Category of each, of shape (photos,).
        photos: File of each.
        out: File to write.
    """
    places = plane_of(vectors)
    names = sorted(set(groups.tolist()))
    with drawing(out, 9.6, 10.6) as figure:
        axes = figure.add_subplot()
        for number, name in enumerate(names):
            colour, shape = look(number)
            x, y = places[groups == name].T
            label = short([name], 34)[0]
            axes.scatter(x, y, s=22, color=colour, marker=shape, linewidths=0, label=label)
        for row in spread(places, _SIDE * _GAP):
            x, y = places[row] - _SIDE / 2
            extent = (float(x), float(x) + _SIDE, float(y), float(y) + _SIDE)
            photo = shown(Path(str(photos[row])), (_PIXELS, _PIXELS), whole=False)
            if photo is not None:
                axes.imshow(photo, extent=extent, zorder=3)
            colour, shape = look(names.index(str(groups[row])))
            frame = Rectangle(
                (x, y), _SIDE, _SIDE, fill=False, edgecolor=colour, linewidth=2.4, zorder=4
            )
            axes.add_patch(frame)
            # groups of one colour differ in shape, which the frame does not show
            axes.plot(
                x + _SIDE, y + _SIDE, shape,
                color=colour, markersize=9, markeredgecolor=PAPER, zorder=5,
            )  # fmt: skip
        margin = _SIDE * 0.75
        high = places.max(axis=0)
        axes.set(xlim=(-margin, high[0] + margin), ylim=(-margin, high[1] + margin), aspect="equal")
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set(visible=True, color=FRAME)
        figure.legend(loc="outside lower center", ncols=3, markerscale=1.8, fontsize=9.5)
