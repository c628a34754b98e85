"""A painter as an ONNX file, for programs that know nothing of PyTorch."""

from pathlib import Path

import torch
from torch import nn
from torch.export import Dim

from tasks.errors import BarenError
from tasks.files import no_half_file
from tasks.infer.probe import probe

SIDE = 64  # pixels, at least, of the picture that a painter of photographs is followed with


def export(network: nn.Module, path: Path) -> None:
    """Write `network` as the ONNX file `path`: any number of pictures at once, and of photographs any size.

    From noise: "noise" float32 [batch, Z] -> "pictures" [batch, 3, side, side]. Of photographs: "pictures" [batch, 3,
    height, width] -> "painted" of the same shape; height and width must be multiples of the network's stride. All are
    in (-1, 1). Raises BarenError where an operation has no counterpart in ONNX.
    """
    network = network.eval().cpu()
    batch, names = Dim("batch"), ["noise", "pictures"]
    noise: int | None = getattr(network, "noise", None)
    if noise is not None:
        example, dimensions = torch.zeros(2, noise), {0: batch}
    else:
        stride = probe(network).stride
        side = -(-SIDE // stride) * stride
        names = ["pictures", "painted"]
        example = torch.zeros(2, 3, side, side + stride)
        dimensions = {0: batch, 2: stride * Dim("down"), 3: stride * Dim("across")}
    try:
        program = torch.onnx.export(
            network, (example,), dynamo=True, dynamic_shapes=(dimensions,), input_names=names[:1],
            output_names=names[1:], verbose=False,
        )  # fmt: skip
    except torch.onnx.errors.OnnxExporterError as error:
        first = str(error).strip().splitlines()[0]
        raise BarenError(f"this network cannot be written as ONNX: {first}") from error
    assert program is not None
    with no_half_file(path) as temporary:
        program.save(temporary)
