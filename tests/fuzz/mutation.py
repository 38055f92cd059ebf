"""Changes sound input a little, as damage and malice do."""

from __future__ import annotations

import random
from collections.abc import Sequence

# Numbers at which counts and lengths overflow or turn negative.
_EDGES = [
    number.to_bytes(size, order)
    for size in (1, 2, 4, 8)
    for number in (0, 1, 2 ** (8 * size - 1) - 1, 2 ** (8 * size - 1), 2 ** (8 * size) - 1)
    for order in ("big", "little")
]
_MOST_BYTES = 1 << 16


def mutated(seeds: Sequence[bytes], dice: random.Random) -> bytes:
    """Returns one of the seeds, changed in one to eight places."""
    data = bytearray(dice.choice(seeds))
    for _ in range(dice.randint(1, 8)):
        # Most of the structure is in the first bytes.
        place = dice.randrange(min(len(data), dice.choice((64, 256, _MOST_BYTES))) + 1)
        match dice.randrange(6):
            case 0:
                data[place : place + 1] = dice.randbytes(1)
            case 1:
                edge = dice.choice(_EDGES)
                data[place : place + len(edge)] = edge
            case 2:
                del data[place : place + dice.choice((1, 2, 8, 64, 1024))]
            case 3:
                data[place:place] = dice.randbytes(dice.choice((1, 2, 8, 64)))
            case 4:
                part = data[place : place + dice.choice((4, 32, 256))]
                data[place:place] = part * dice.choice((1, 2, 16))
            case _:
                other = dice.choice(seeds)
                start = dice.randrange(len(other))
                data[place:place] = other[start : start + dice.choice((4, 32, 256))]
        del data[_MOST_BYTES:]
    return bytes(data)
