"""Networks on a device against the same networks on the processor, in every precision."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from copy import deepcopy
from functools import partial

import torch

from benchmarks.gpu_check.report import Figures, Report, SkipCheck
from benchmarks.gpu_check.sizes import Size
from napari_leafseg.errors import ModelError
from napari_leafseg.inference.device import autocast_for, usable_precision
from napari_leafseg.models.base import LeafNetwork
from napari_leafseg.models.build import build_network
from napari_leafseg.models.query.base import QueryModel
from napari_leafseg.models.registry import presets
from napari_leafseg.models.store.zoo import list_models, load_network

TOLERANCES = {"float32": 0.002, "bfloat16": 0.15, "float16": 0.05}
"""How far outputs may be from those in float32 on the processor: norm of the difference by norm."""
GRADIENTS = {"float32": 0.01, "bfloat16": 0.35}
"""The same of all gradients together. Nothing is trained in float16."""


@contextlib.contextmanager
def exact() -> Iterator[None]:
    """Compute float32 as float32, not in TensorFloat-32."""
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before


def open_network(name: str) -> LeafNetwork:
    """Load a bundled model's network, or build one of a preset with random weights."""
    torch.manual_seed(0)
    try:
        return load_network(name)[0] if name in list_models() else build_network(presets()[name]).eval()
    except ModelError as error:
        if "not installed" in str(error):
            raise SkipCheck(str(error)) from error
        raise


def outputs_of(network: LeafNetwork, images: torch.Tensor) -> dict[str, torch.Tensor]:
    """Run a network; what it says, in float32, in an order that does not depend on which query comes first."""
    if not isinstance(network, QueryModel):
        said = network(images)
        return {name: maps.float() for name, maps in zip(said._fields, said, strict=True) if maps is not None}
    features = network.encode(images)
    queries = network.query(features)
    score = queries.score.float()[:, None]
    total = (score * queries.weights.float() ** 2).sum() / score.sum().clamp(min=1e-6)
    levels = {f"level {number}": level.float() for number, level in enumerate(features.levels)}
    return {"mask features": features.mask.float(), **levels, "queries": total[None]}


def passes(
    network: LeafNetwork, images: torch.Tensor, precision: str, backward: bool
) -> tuple[dict[str, torch.Tensor], torch.Tensor | None]:
    """Make a forward and a backward pass; all outputs and all gradients, on the processor."""
    device = images.device
    network.zero_grad(set_to_none=True)
    with exact(), torch.set_grad_enabled(backward):
        with autocast_for(device, precision):
            said = outputs_of(network, images)
        if backward:
            torch.stack([maps.square().mean() for maps in said.values()]).sum().backward()
    gradient = None
    if backward:
        parts = [value.grad.float().flatten() for value in network.parameters() if value.grad is not None]
        gradient = torch.cat(parts).cpu()
    return {name: maps.detach().cpu() for name, maps in said.items()}, gradient


def difference(found: torch.Tensor, wanted: torch.Tensor) -> float:
    """Measure how far one is from the other: norm of the difference by norm."""
    if found.shape != wanted.shape:
        raise AssertionError(f"shape {tuple(found.shape)} instead of {tuple(wanted.shape)}")
    if not torch.isfinite(found).all():
        raise AssertionError("not all numbers are finite")
    return float((found - wanted).norm() / wanted.norm().clamp(min=1e-12))


def compare(
    found: Mapping[str, torch.Tensor], wanted: Mapping[str, torch.Tensor], tolerance: float, words: str
) -> float:
    """Measure the largest difference of outputs; the error names the output that is too far off."""
    if found.keys() != wanted.keys():
        raise AssertionError(f"{words}: {', '.join(found)} instead of {', '.join(wanted)}")
    worst, name = max((difference(found[name], wanted[name]), name) for name in wanted)
    if worst > tolerance:
        raise AssertionError(f"{words}: “{name}” is off by {worst:.3g}, more than {tolerance:g}")
    return worst


def check_network(name: str, device: torch.device, size: Size, figures: Figures) -> None:
    """Compare a network's forward and backward pass on the device with those on the processor."""
    network = open_network(name)
    side = -(-size.crop // network.stride) * network.stride
    images = torch.randn(size.batch, 3, side, side, generator=torch.Generator().manual_seed(1))
    images = images.contiguous(memory_format=torch.channels_last)
    wanted, gradient = passes(deepcopy(network).place("cpu"), images, "float32", backward=True)
    assert gradient is not None
    network.place(device)
    images = images.to(device)
    for precision, tolerance in TOLERANCES.items():
        if usable_precision(device, precision) != precision or (precision == "float32" and device.type == "cpu"):
            continue
        backward = precision in GRADIENTS
        found, own = passes(network, images, precision, backward)
        figures[precision] = compare(found, wanted, tolerance, f"forward in {precision}")
        if own is not None:
            figures[f"{precision} gradients"] = compare(
                {"gradients": own}, {"gradients": gradient}, GRADIENTS[precision], f"backward in {precision}"
            )


def check_networks(report: Report, device: torch.device, size: Size) -> None:
    """Check every network."""
    for name in size.networks:
        report.run(f"network {name}", partial(check_network, name, device, size), reserve=120 if size.rounds > 1 else 0)
