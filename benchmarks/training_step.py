"""A training step with our losses against the same losses written as plain loops over images and leaves.

Run ``python -m benchmarks.training_step [--rounds 12]``. Both arms see the same batches, taking turns; what is compared
is the median of the steps' times. The losses must agree.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from statistics import median

import numpy as np
import torch
from torch.nn import functional

from benchmarks.record import add_record_option, write_result
from napari_leafseg.losses.distance_embedding import distance_loss, embedding_loss, foreground_loss
from napari_leafseg.models.distance_embedding.config import SIZES
from napari_leafseg.models.distance_embedding.network import DistanceEmbeddingNet
from napari_leafseg.synthetic import SceneConfig, synthesize
from napari_leafseg.training.targets import distance_target

RADIUS = 10


def plain_embedding_loss(embedding: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Within + between, leaf by leaf; a leaf's neighbors are those that its dilated mask touches."""
    offsets = torch.arange(-RADIUS, RADIUS + 1)
    disc = ((offsets[:, None] ** 2 + offsets[None] ** 2) <= RADIUS**2).float()[None, None]
    within, between = [], []
    for vectors, truth in zip(embedding, labels, strict=True):
        leaves = [int(leaf) for leaf in truth.unique() if leaf > 0]
        means = {}
        for leaf in leaves:
            pixels = vectors[:, truth == leaf]
            means[leaf] = functional.normalize(pixels.mean(1), dim=0)
            within.append((1 - (pixels * means[leaf][:, None]).sum(0)).mean())
        for leaf in leaves:
            mask = (truth == leaf).float()[None, None]
            reached = functional.conv2d(mask, disc, padding=RADIUS)[0, 0] > 0
            for other in truth[reached].unique():
                if int(other) > leaf:
                    between.append((means[leaf] * means[int(other)]).sum().abs())
    total = embedding.sum() * 0
    if within:
        total = total + torch.stack(within).mean()
    if between:
        total = total + torch.stack(between).mean()
    return total


def plain_distance_loss(predicted: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Leaf and background half each, over the whole batch, image by image."""
    inside, outside, leaf, ground = 0.0, 0.0, 0, 0
    for one, wanted in zip(predicted, target, strict=True):
        error = (one.float() - wanted) ** 2
        inside, outside = inside + error[wanted > 0].sum(), outside + error[wanted <= 0].sum()
        leaf, ground = leaf + int((wanted > 0).sum()), ground + int((wanted <= 0).sum())
    return 0.5 * (inside / max(leaf, 1) + outside / max(ground, 1))


def batch(size: int, count: int, leaves: str) -> dict[str, torch.Tensor]:
    """Images, labels and targets of synthetic plants, or of crowded stands of them."""
    plants = (1, 1) if leaves == "usual" else (6, 9)
    span = (0.7 * size, 0.95 * size) if leaves == "usual" else (0.25 * size, 0.4 * size)
    config = SceneConfig(size=(size, size), diameter=span, plants=plants, blank=0.0, border=0.0)
    scenes = [synthesize(8_000_000 + number, config) for number in range(count)]
    labels = np.stack([scene.labels for scene in scenes]).astype(np.int64)
    images = np.stack([scene.image for scene in scenes]).astype(np.float32) / 128 - 1
    targets = np.stack([distance_target(item) for item in labels])
    return {
        "image": torch.from_numpy(images).permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last),
        "labels": torch.from_numpy(labels),
        "distance": torch.from_numpy(targets)[:, None],
    }


def ours(output, data: dict[str, torch.Tensor]) -> torch.Tensor:
    """The losses as training computes them."""
    terms = embedding_loss(output.embedding, data["labels"], RADIUS)
    return terms.within + terms.between + distance_loss(output.distance, data["distance"]) + foreground_loss(
        output.foreground, data["labels"]
    )  # fmt: skip


def plain(output, data: dict[str, torch.Tensor]) -> torch.Tensor:
    """The same as loops."""
    target = (data["labels"] > 0).float()[:, None]
    foreground = functional.binary_cross_entropy_with_logits(output.foreground.float(), target)
    return (
        plain_embedding_loss(output.embedding, data["labels"])
        + plain_distance_loss(output.distance, data["distance"])
        + foreground
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=12)
    add_record_option(parser, "training-step")
    args, rows = parser.parse_args(), []
    network = DistanceEmbeddingNet(SIZES["small"]).place("cpu").train()
    for leaves in ("usual", "crowded"):
        data = batch(176, 8, leaves)
        number = sum(len(item.unique()) - 1 for item in data["labels"])

        def step(losses: Callable, data: dict[str, torch.Tensor] = data) -> tuple[float, float, float]:
            network.zero_grad(set_to_none=True)
            began = time.perf_counter()
            with torch.autocast("cpu", torch.bfloat16):
                output = network(data["image"])
            reached = time.perf_counter()
            heads = [
                item.detach().float().requires_grad_()
                for item in (output.distance, output.foreground, output.embedding)
            ]
            detached = output._replace(distance=heads[0], foreground=heads[1], embedding=heads[2])
            total = losses(detached, data)
            total.backward()
            done = time.perf_counter()
            torch.autograd.backward(
                [output.distance, output.foreground, output.embedding],
                [item.grad.to(kept.dtype) for item, kept in
                 zip(heads, (output.distance, output.foreground, output.embedding), strict=True)],
            )  # fmt: skip
            return time.perf_counter() - began, done - reached, float(total.detach())

        step(ours)
        times: dict[str, list[tuple[float, float, float]]] = {"ours": [], "plain": []}
        for _ in range(args.rounds):
            times["ours"].append(step(ours))
            times["plain"].append(step(plain))
        whole, losses = ({name: median(item[k] for item in rows) for name, rows in times.items()} for k in (0, 1))
        print(
            f"{leaves}: {number} leaves in 8 images of 176 px; losses {1000 * losses['ours']:.0f} ms against "
            f"{1000 * losses['plain']:.0f} ms ({losses['plain'] / losses['ours']:.1f} x), whole step "
            f"{1000 * whole['ours']:.0f} ms against {1000 * whole['plain']:.0f} ms "
            f"({whole['plain'] / whole['ours']:.2f} x); totals {times['ours'][-1][2]:.4f}, {times['plain'][-1][2]:.4f}"
        )
        rows.append({"8 images of 176 × 176": f"{leaves}, {number} leaves together"} | {
            f"{what}: {name}": value for what, both in (("losses", losses), ("whole step", whole)) for name, value in (
                *((f"{name}, ms", round(1000 * both[name])) for name in both),
                ("ratio", round(both["plain"] / both["ours"], 2)))})  # fmt: skip
    if args.record:
        write_result(args.record, rows)


if __name__ == "__main__":
    main()
