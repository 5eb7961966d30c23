"""The U-Net's parts."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from napari_leafseg.models.distance_embedding.unet import enlarge


def plainly(features, layer):
    """Upsampling, then the convolution, as the publication has it."""
    return layer(functional.pad(functional.interpolate(features, scale_factor=2, mode="nearest"), (0, 1, 0, 1)))


@pytest.mark.parametrize("shape", [(1, 1), (5, 7), (8, 8)])
def test_enlarging_is_upsampling_and_convolution(shape):
    torch.manual_seed(0)
    layer = nn.Conv2d(6, 4, 2).double()
    features = torch.randn(2, 6, *shape, dtype=torch.float64, requires_grad=True)
    found, expected = enlarge(features, layer), plainly(features, layer)
    torch.testing.assert_close(found, expected, atol=1e-12, rtol=0)
    weights = torch.randn_like(expected)
    ours = torch.autograd.grad((found * weights).sum(), (features, layer.weight, layer.bias))
    theirs = torch.autograd.grad((expected * weights).sum(), (features, layer.weight, layer.bias))
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, atol=1e-11, rtol=0)


def test_enlarging_keeps_the_fast_layout():
    layer = nn.Conv2d(6, 4, 2)
    features = torch.randn(2, 6, 8, 8).contiguous(memory_format=torch.channels_last)
    assert enlarge(features, layer).is_contiguous(memory_format=torch.channels_last)
