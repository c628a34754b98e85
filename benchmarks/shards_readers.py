"""Ways to deliver shuffled batches of pictures: ours, the limit that memory sets, and other people's libraries."""

import importlib.util
import io
import os
import tarfile
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.utils.data import DataLoader

from benchmarks.turns import Step
from tasks.progress import Progress
from tasks.rows import Crop, Origin, Packed
from tasks.shard.feed import Feed
from tasks.shard.layout import default_per_shard
from tasks.shard.plan import Plan
from tasks.shard.read import ShardSet
from tasks.shard.reside import Residency
from tasks.shard.write import write

BATCH = 32
Pixels = NDArray[np.uint8]


class Quiet(Progress):
    """Says nothing."""

    def say(self, sentence: str) -> None:
        """Drop the sentence."""


def photographs(side: int, num: int = 64) -> Pixels:
    """Crops of the photographs that come inside scikit-image and scikit-learn, uint8 [num, side, side, 3]."""
    import skimage.data
    from sklearn.datasets import load_sample_images

    whole = [*load_sample_images().images, skimage.data.astronaut(), skimage.data.coffee(), skimage.data.chelsea()]
    chance = np.random.default_rng(0)
    crops: list[Pixels] = []
    for number in range(num):
        picture = whole[number % len(whole)]
        top, left = (int(chance.integers(0, length - side + 1)) for length in picture.shape[:2])
        crops.append(picture[top : top + side, left : left + side])
    return np.stack(crops)


def rows(num: int, side: int, start: int = 0, batch: int = 1) -> tuple[Packed, ...]:
    """Made-up rows as long as real ones are."""
    return tuple(
        Packed(
            id=f"bench:{number:08}",
            picture=f"bench:{number:08}",
            batch=batch,
            split="train",
            origin=Origin("bench", f"https://example.org/photo/{number:032}", f"https://example.org/{number:064}.jpg",
                          "A title of the usual length", "An author", "2020-01-01", "CC BY 2.0"),
            group=f"bench:{number:08}",
            sha256=f"{number:064x}",
            file=f"pictures/{number % 256:02x}/{number:064x}.jpg",
            crop=Crop(0, 0, side, side, side),
        )
        for number in range(start, start + num)
    )  # fmt: skip


def pack(folder: Path, packed: Iterable[Packed], crops: Pixels, per_shard: int | None = None, **kept: Any) -> ShardSet:
    """A set whose row i shows crop i modulo their number."""
    side = crops.shape[1]
    planned = Plan(tuple(packed), kept.pop("dropped", ()), side)

    def load(part: Any) -> Iterator[Pixels]:
        return (crops[int(row.id.rpartition(":")[2]) % len(crops)] for row in part)

    write(folder, "bench", planned, per_shard or default_per_shard(side), "bench", load, Quiet(), **kept)
    return ShardSet(folder, verify="header")


def warm(folder: Path) -> None:
    """Read a set's files from end to end: some machines forget between two slices what a disk once gave."""
    for path in sorted(folder.glob("*.safetensors")):
        with path.open("rb", buffering=0) as file:
            while file.read(2**22):
                pass


def memory_limit(crops: Pixels, num: int) -> Step:
    """One copy of each picture from memory to memory: nothing that delivers pictures is faster."""
    whole = np.empty((num, *crops.shape[1:]), dtype=np.uint8)
    for start in range(0, num, len(crops)):
        whole[start : start + len(crops)] = crops[: num - start]
    buffer = np.zeros((BATCH, *crops.shape[1:]), dtype=np.uint8)
    order = np.random.default_rng(0).permutation(num)
    steps = _endless(range(0, num - BATCH + 1, BATCH))

    def step() -> int:
        start = next(steps)
        np.take(whole, order[start : start + BATCH], axis=0, out=buffer, mode="clip")
        return BATCH

    return step


def ours(shard_set: ShardSet, *, residency: Residency = "stream", finished: bool = False) -> Step:
    """Our feed: uint8 as it reaches the device, or `finished`, float32 in (-1, 1)."""
    feed = Feed(shard_set, batch=BATCH, seed=0, residency=residency, progress=Quiet())
    counter = iter(range(10**12))

    def step() -> int:
        number = next(counter)
        return len(feed.batch(number).images if finished else feed.pixels(number))

    return step


def image_folder(folder: Path, crops: Pixels, num: int) -> Step:
    """JPEGs (quality 95), ToTensor and Normalize: the usual recipe."""
    from torchvision.datasets import ImageFolder
    from torchvision.transforms import Compose, Normalize, ToTensor

    (folder / "all").mkdir(parents=True)
    for number in range(num):
        Image.fromarray(crops[number % len(crops)]).save(folder / "all" / f"{number:06}.jpg", quality=95)
    data = ImageFolder(folder, Compose([ToTensor(), Normalize([0.5] * 3, [0.5] * 3)]))
    return _stepping(lambda: DataLoader(data, BATCH, shuffle=True, drop_last=True), lambda batch: batch[0])


def webdataset(folder: Path, crops: Pixels, num: int) -> Step | None:
    """Tars of raw .npy, a shuffle buffer of 1,000; None where it is not installed."""
    if importlib.util.find_spec("webdataset") is None:
        return None
    import webdataset as library

    folder.mkdir()
    per_tar = default_per_shard(crops.shape[1])
    for number, start in enumerate(range(0, num, per_tar)):
        with tarfile.open(folder / f"{number:05}.tar", "w") as tar:
            for item in range(start, min(num, start + per_tar)):
                data = io.BytesIO()
                np.save(data, crops[item % len(crops)])
                member = tarfile.TarInfo(f"{item:08}.npy")
                member.size = len(data.getvalue())
                tar.addfile(member, io.BytesIO(data.getvalue()))
    tars = sorted(str(path) for path in folder.glob("*.tar"))

    def batches() -> Iterable[Any]:
        return library.WebDataset(tars, shardshuffle=100).shuffle(1000).decode().to_tuple("npy").batched(BATCH)

    return _stepping(batches, lambda batch: torch.as_tensor(np.asarray(batch[0])))


def litdata(folder: Path, crops: Pixels, num: int) -> Step | None:
    """Chunks of raw uint8 tensors, full shuffle, its own loader; None where it is not installed."""
    if importlib.util.find_spec("litdata") is None:
        return None
    os.environ.setdefault("DISABLE_MOSAICML_STREAMING_WARNING", "1")
    import litdata as library
    from litdata.streaming import Cache

    cache = Cache(str(folder), chunk_bytes=2**26)
    for number in range(num):
        cache[number] = torch.from_numpy(crops[number % len(crops)].copy())
    cache.done()
    cache.merge()
    data = library.StreamingDataset(str(folder), shuffle=True, drop_last=True)
    return _stepping(lambda: library.StreamingDataLoader(data, batch_size=BATCH), lambda batch: batch)


def mosaic(folder: Path, crops: Pixels, num: int) -> Step | None:
    """MDS shards of raw uint8, its default shuffle; None where it is not installed."""
    if importlib.util.find_spec("streaming") is None:
        return None
    import streaming as library

    side = crops.shape[1]
    library.base.util.clean_stale_shared_memory()
    columns = {"image": f"ndarray:uint8:{side},{side},3"}
    with library.MDSWriter(out=str(folder), columns=columns, size_limit=2**26) as writer:
        for number in range(num):
            writer.write({"image": crops[number % len(crops)]})
    data = library.StreamingDataset(local=str(folder), shuffle=True, batch_size=BATCH)
    return _stepping(lambda: DataLoader(data, BATCH, drop_last=True), lambda batch: batch["image"])


def _stepping(batches: Callable[[], Iterable[Any]], pixels: Callable[[Any], torch.Tensor]) -> Step:
    """The next batch, epoch after epoch."""

    def endless() -> Iterator[torch.Tensor]:
        while True:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                for batch in batches():
                    yield pixels(batch)

    source = endless()
    return lambda: len(next(source))


def _endless(numbers: Iterable[int]) -> Iterator[int]:
    known = list(numbers)
    while True:
        yield from known
