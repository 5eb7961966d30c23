"""Networks as others publish them, made small."""

import torch


def published_mask2former(backbone, **changes):
    """Make a small Mask2Former of transformers on "resnet" or "swin"; `changes` are of the backbone's shape."""
    from transformers import AutoConfig, Mask2FormerForUniversalSegmentation

    shape = (
        {"depths": [1, 2, 1, 1], "hidden_sizes": [16] * 4, "embedding_size": 8, "downsample_in_bottleneck": False}
        if backbone == "resnet"
        else {"embed_dim": 8, "depths": [1, 2, 1, 1], "num_heads": [1, 1, 2, 2], "window_size": 4}
    )
    shape |= changes
    stages = [f"stage{number}" for number in range(1, 5)]
    settings = AutoConfig.for_model(
        "mask2former", backbone_config=AutoConfig.for_model(backbone, out_features=stages, **shape), feature_size=32,
        hidden_dim=32, mask_feature_size=24, encoder_feedforward_dim=32, dim_feedforward=64, encoder_layers=2,
        decoder_layers=4, num_attention_heads=2, num_queries=12, id2label={str(n): f"thing {n}" for n in range(5)},
    )  # fmt: skip
    torch.manual_seed(0)
    network = Mask2FormerForUniversalSegmentation(settings).eval()
    for name, value in network.named_parameters():  # norms begin at 1 and 0, so that a mix-up would not be seen
        if value.ndim == 1:
            value.data.add_(torch.randn_like(value) * (0.05 if "norm" in name else 0.02))
    return network
