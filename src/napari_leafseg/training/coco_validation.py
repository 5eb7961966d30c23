"""AP of a held-out COCO set while a network is trained."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch.nn import functional

from napari_leafseg.inference.device import inference_context
from napari_leafseg.io.exchange.coco_set import CocoImage
from napari_leafseg.io.exchange.run_lengths import write_run_lengths
from napari_leafseg.metrics.coco import coco_scores
from napari_leafseg.models.normalize import standardize
from napari_leafseg.models.query.base import QueryModel
from napari_leafseg.postprocessing.masks import SURE, SoftMask, cut_mask, matrix_nms, overlaps
from napari_leafseg.training.augment import resize_image
from napari_leafseg.training.coco import CocoImages, fit_size, load_coco_image

NAMES = {"AP": "ap", "AP50": "ap50", "AP75": "ap75", "AP_S": "ap_small", "AP_M": "ap_medium", "AP_L": "ap_large"}


def held_out_precision(
    network: QueryModel, images: CocoImages, device: torch.device, strength: float = 2.0
) -> dict[str, float]:
    """Compute the AP of a held-out set, each image seen whole.

    Parameters
    ----------
    network : QueryModel
        In evaluation mode.
    images : CocoImages
        With a held-out set.
    device : torch.device
    strength : float
        Of the matrix NMS, which is done for each class.
    """
    held, numbers = images.held_out, images.category_numbers()
    assert held is not None
    truth = held.content
    if images.config.one_class:
        truth = {**truth, "annotations": [{**item, "category_id": numbers[0]} for item in truth["annotations"]]}
    shorter = images.config.sizes[-1] if images.config.sizes else None
    found: list[dict[str, Any]] = []
    for image in held.images:
        size = fit_size(image.shape, shorter, images.config.longest)
        seen = standardize(resize_image(load_coco_image(held, image), size))
        found += [
            {"image_id": image.number, "category_id": numbers[category], "segmentation": coded, "score": score}
            for score, category, coded in find_masks(network, seen, image, device, strength)
        ]
    figures = coco_scores(truth, found).figures
    return {NAMES[name]: value for name, value in figures.items() if np.isfinite(value)}


@torch.inference_mode()
def find_masks(
    network: QueryModel, seen: np.ndarray, image: CocoImage, device: torch.device, strength: float
) -> list[tuple[float, int, dict[str, Any]]]:
    """Find the masks of an image: score, class, and run lengths at the image's own size; doubles have lower scores.

    Parameters
    ----------
    network : QueryModel
    seen : numpy.ndarray
        float32 (h, w, 3), standardized, at the size that the network is to see.
    image : CocoImage
    device : torch.device
    strength : float
        Of the matrix NMS.
    """
    height, width = seen.shape[:2]
    stride = network.stride
    batch = torch.from_numpy(seen).permute(2, 0, 1)[None].to(device)
    batch = functional.pad(batch, (0, -width % stride, 0, -height % stride))
    with inference_context(device):
        (answer,) = network.candidates(batch.contiguous(memory_format=torch.channels_last))
    step = batch.shape[-1] // answer.masks.shape[-1] if len(answer.scores) else 1
    categories = torch.zeros(len(answer.scores)) if answer.category is None else answer.category
    soft: list[SoftMask] = []
    whole: list[np.ndarray] = []
    for score, mask, category in zip(answer.scores.tolist(), answer.masks, categories.tolist(), strict=True):
        # first to the pixels that the network saw, without the padding, then to the image's
        large = functional.interpolate(mask[None, None].float(), scale_factor=step, mode="bilinear")
        large = functional.interpolate(large[..., :height, :width], image.shape, mode="bilinear")[0, 0]
        cut = cut_mask(score, (255 * large).round().byte().cpu().numpy(), SURE, int(category))
        if cut is not None:
            soft.append(cut)
            whole.append((large > 0.5).cpu().numpy())
    scores = matrix_nms(np.array([mask.score for mask in soft]), overlaps(soft), strength)
    everywhere = (slice(0, image.shape[0]), slice(0, image.shape[1]))
    return [
        (float(score), mask.category, write_run_lengths(inside, everywhere, image.shape))
        for score, mask, inside in zip(scores, soft, whole, strict=True)
    ]
