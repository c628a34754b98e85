"""FID and KID on Inception features: the field's figures, where the user brings the weights; nothing is downloaded.

Heusel et al. (2017) and Binkowski et al. (2018), as torchmetrics and torch-fidelity compute them.
"""

import warnings
from pathlib import Path
from pickle import UnpicklingError

import torch
from torch import Tensor, nn

from tasks.errors import BarenError
from tasks.measures.kernel import SUBSET_SIZE, SUBSETS
from tasks.measures.pictures import require_pictures

_AT_ONCE = 32  # pictures; bounds the memory


def load_inception(weights: Path) -> nn.Module:
    """The network whose features FID and KID compare, from torch-fidelity's file weights-inception-2015-12-05-*.pth.

    Raises BarenError where the file or one of the two libraries is missing, or the file holds something else.
    """
    if not weights.is_file():
        raise BarenError(
            f"evaluate.inception names {weights}, which is no file; give the path of torch-fidelity's Inception "
            "weights, or null to go without FID and KID"
        )
    try:
        from torchmetrics.image.fid import NoTrainInceptionV3

        torch.load(weights, map_location="cpu", weights_only=True)  # torch-fidelity unpickles it: nothing else be in it
        return NoTrainInceptionV3("inception-v3-compat", ["2048"], str(weights))
    except ModuleNotFoundError as error:
        raise BarenError(
            "FID and KID need two more libraries; install them (pip install torchmetrics torch-fidelity), "
            "or set evaluate.inception to null"
        ) from error
    except (RuntimeError, KeyError, OSError, ValueError, EOFError, UnpicklingError) as error:
        raise BarenError(f"{weights} holds no Inception weights that torch-fidelity reads ({error})") from error


def inception_distances(network: nn.Module, left: Tensor, right: Tensor) -> dict[str, float]:
    """`fid` and `kid` of two sets, uint8 [N, h, w, 3] and [M, H, W, 3]; lower is nearer.

    FID is biased by the number of pictures: thousands are needed, and equal numbers on both sides of a comparison.
    """
    from torchmetrics.image.fid import FrechetInceptionDistance
    from torchmetrics.image.kid import KernelInceptionDistance

    require_pictures(left=left, right=right)
    size = min(SUBSET_SIZE, len(left), len(right))
    with warnings.catch_warnings(action="ignore"):  # that features are kept in memory; they are few
        fid = FrechetInceptionDistance(feature=network)
        kid = KernelInceptionDistance(feature=network, subsets=SUBSETS, subset_size=size)
    for metric in (fid, kid):
        metric.to(left.device)
        for pictures, real in ((left, False), (right, True)):
            for some in pictures.permute(0, 3, 1, 2).split(_AT_ONCE):
                metric.update(some, real=real)
    return {"fid": float(fid.compute()), "kid": float(kid.compute()[0])}
