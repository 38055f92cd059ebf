"""The memory of decoding, measured: at most what `survey` says, in every format and mode."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, features

SIDE = 2000
# The file twice, strips on their way to RGB, and the allocator's own.
BESIDE = 10 << 20

MEASURE = """\
import sys
from pathlib import Path
from lookalike.catalogue.images import ImageLimits, decode, survey

LIMITS = ImageLimits(max_bytes=1 << 30, max_memory=1 << 40, max_seconds=100)

def peak():
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024

for name in sys.argv[1:]:
    data = Path(name).read_bytes()
    said = survey(data, LIMITS).memory
    Path("/proc/self/clear_refs").write_text("5")
    before = peak()
    decode(data, LIMITS, fit=224)
    print(Path(name).name, said, len(data), peak() - before)
"""


def pictures() -> dict[str, Image.Image]:
    """A picture in each of Pillow's modes that files have; neither flat nor noise."""
    across, down = np.meshgrid(np.arange(SIDE), np.arange(SIDE))
    grey = Image.fromarray(((across // 7 * down // 11) % 251).astype(np.uint8))
    rgb = Image.merge("RGB", (grey, grey.rotate(90), grey.rotate(180)))
    rgba = rgb.copy()
    rgba.putalpha(grey.rotate(270))
    wide = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    palette = rgb.quantize(16, method=Image.Quantize.FASTOCTREE)
    return {
        "1": grey.convert("1"), "L": grey, "LA": rgba.convert("LA"), "P": palette, "RGB": rgb,
        "RGBA": rgba, "CMYK": rgb.convert("CMYK"), "I;16": wide,
        "I": Image.fromarray(np.asarray(wide).astype(np.int32)), "F": grey.convert("F"),
    }  # fmt: skip


FILES = {
    "JPEG": (("L", "RGB", "CMYK"), {}),
    "JPEG progressive": (("L", "RGB", "CMYK"), {"progressive": True, "subsampling": 0}),
    "PNG": (("1", "L", "LA", "P", "RGB", "RGBA", "I;16"), {"compress_level": 1}),
    "PNG transparent": (("L", "P", "RGB"), {"compress_level": 1}),
    "WEBP": (("RGB", "RGBA"), {"method": 0}),
    "WEBP lossless": (("RGB", "RGBA"), {"lossless": True, "method": 0, "quality": 0}),
    "GIF": (("L", "P"), {}),
    "BMP": (("1", "L", "P", "RGB", "RGBA"), {}),
    "TIFF": (("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "I", "F"), {}),
    "TIFF packed": (("L", "RGB", "RGBA", "CMYK", "I;16"), {"compression": "tiff_lzw"}),
    "TIFF JPEG": (("RGB",), {"compression": "jpeg"}),
    "AVIF": (("RGB", "RGBA"), {"speed": 10}),
}
TRANSPARENT = {"L": 7, "P": 3, "RGB": (7, 7, 7)}


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux's peak")
@pytest.mark.parametrize(
    "every_mode", [False, pytest.param(True, marks=pytest.mark.long)], ids=["a mode", "every mode"]
)
def test_no_photo_takes_more_memory_than_is_told(tmp_path: Path, every_mode: bool) -> None:
    shown = pictures()
    files = []
    for name, (modes, options) in FILES.items():
        kind = name.partition(" ")[0]
        if kind == "AVIF" and not features.check("avif"):
            continue
        for mode in modes if every_mode else modes[-1:]:
            more = {"transparency": TRANSPARENT[mode]} if "transparent" in name else {}
            file = tmp_path / f"{name} {mode}".replace(" ", "-")
            shown[mode].save(file, kind, **options, **more)
            files.append(str(file))
    ran = subprocess.run(
        [sys.executable, "-c", MEASURE, *files], capture_output=True, check=True, text=True
    )
    taken = [line.split() for line in ran.stdout.splitlines()]
    assert len(taken) == len(files)
    over = [
        f"{name}: {int(peak) / SIDE**2:.1f} bytes a pixel"
        for name, said, size, peak in taken
        if int(peak) > int(said) + 2 * int(size) + BESIDE
    ]
    assert not over
