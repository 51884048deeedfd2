"""Compare two pictures: `compare_pictures.py A B` exits 1 when they differ by more than 1/255 on average."""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

LIMIT = 1.0  # in steps of 1/255


def main(first: Path, second: Path) -> int:
    """Print how far two RGB pictures of one size are apart; 0 when that is little, 1 when it is not."""
    a, b = (np.asarray(Image.open(path).convert("RGB"), dtype=np.int16) for path in (first, second))
    if a.shape != b.shape:
        print(f"{first} is {a.shape[1]}x{a.shape[0]}, {second} is {b.shape[1]}x{b.shape[0]}")
        return 1
    if a.std() < 1:
        print(f"{first} is of one colour: nothing was drawn")
        return 1
    difference = np.abs(a - b)
    print(f"difference: mean {difference.mean():.4f}/255 (allowed {LIMIT}), max {difference.max()}/255")
    return int(difference.mean() > LIMIT)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
