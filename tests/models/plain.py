"""Plain double-precision references, written with loops, that share no code with what they check."""

import itertools

import numpy as np


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def dynamic_convolution(features, parameters, channels, layers):
    """(Q, C, P) features, (Q, K) parameters: all weights, then all biases."""
    answers = []
    for seen, numbers in zip(features, parameters, strict=True):
        widths = [len(seen), *[channels] * (layers - 1), 1]
        at = 0
        weights, biases = [], []
        for a, b in itertools.pairwise(widths):
            weights.append(numbers[at : at + a * b].reshape(b, a))
            at += a * b
        for b in widths[1:]:
            biases.append(numbers[at : at + b])
            at += b
        assert at == len(numbers)
        pixels = []
        for pixel in seen.T:
            value = pixel
            for layer in range(layers):
                value = weights[layer] @ value + biases[layer]
                if layer < layers - 1:
                    value = np.maximum(value, 0)
            pixels.append(value[0])
        answers.append(pixels)
    return np.array(answers)


def dice(logits, masks):
    p = sigmoid(logits)
    return 1 - 2 * (p * masks).sum() / ((p**2).sum() + (masks**2).sum() + 1e-5)


def focal(logit, target, alpha=0.25, gamma=2.0):
    p = sigmoid(logit)
    return -alpha * (1 - p) ** gamma * np.log(p) if target else -(1 - alpha) * p**gamma * np.log(1 - p)


def giou(first, second):
    """Boxes x0, y0, x1, y1; the + 1 is the smoothing of FCOS's IoU."""
    across = max(0, min(first[2], second[2]) - max(first[0], second[0]))
    along = max(0, min(first[3], second[3]) - max(first[1], second[1]))
    common = across * along
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (first, second)]
    hull = (max(first[2], second[2]) - min(first[0], second[0])) * (max(first[3], second[3]) - min(first[1], second[1]))
    union = sum(areas) - common
    return 1 - (common + 1) / (union + 1) + (hull - union) / hull


def cells(labels, shape, bounds, sigma):
    """SOLO's assignment of one label image: the smaller leaf has a cell that two want."""
    height, width = labels.shape
    wishes = []
    for leaf in np.unique(labels[labels > 0]):
        ys, xs = np.nonzero(labels == leaf)
        tall, wide = ys.max() + 1 - ys.min(), xs.max() + 1 - xs.min()
        size = np.sqrt(tall * wide)
        if bounds[0] <= size <= bounds[1]:
            wishes.append((size, leaf, ys.mean() + 0.5, xs.mean() + 0.5, tall, wide))
    result = np.zeros(shape, int)
    for _, leaf, y, x, tall, wide in sorted(wishes, reverse=True):
        middle = int(y / height * shape[0]), int(x / width * shape[1])
        for row in range(shape[0]):
            for column in range(shape[1]):
                if abs(row - middle[0]) > 1 or abs(column - middle[1]) > 1:
                    continue
                top, bottom = row * height / shape[0], (row + 1) * height / shape[0]
                left, right = column * width / shape[1], (column + 1) * width / shape[1]
                # does the middle part of the box, closed, touch the half-open cell?
                if (
                    y - sigma * tall / 2 < bottom and y + sigma * tall / 2 >= top
                    and x - sigma * wide / 2 < right and x + sigma * wide / 2 >= left
                ):  # fmt: skip
                    result[row, column] = leaf
    return result


def location_leaf(masks, x, y, stride, bounds, radius):
    """CondInst's assignment of one location to masks, sampled around their centers of mass: index or -1."""
    best, chosen = np.inf, -1
    for number, mask in enumerate(masks):
        ys, xs = np.nonzero(mask)
        x0, y0, x1, y1 = xs.min(), ys.min(), xs.max() + 1, ys.max() + 1
        center_x, center_y = sum(xs + 0.5) / len(xs), sum(ys + 0.5) / len(ys)
        if not (max(x0, center_x - radius * stride) < x < min(x1, center_x + radius * stride)):
            continue
        if not (max(y0, center_y - radius * stride) < y < min(y1, center_y + radius * stride)):
            continue
        farthest = max(x - x0, y - y0, x1 - x, y1 - y)
        if bounds[0] <= farthest <= bounds[1] and (x1 - x0) * (y1 - y0) < best:
            best, chosen = (x1 - x0) * (y1 - y0), number
    return chosen


def matrix_nms(scores, masks, strength):
    """Masks bool (Q, ...), best first."""
    count = len(scores)
    iou = np.zeros((count, count))
    for a in range(count):
        for b in range(count):
            union = (masks[a] | masks[b]).sum()
            iou[a, b] = (masks[a] & masks[b]).sum() / union if union else 0
    result = []
    for worse in range(count):
        factor = 1.0
        for better in range(worse):
            own = max([iou[higher, better] for higher in range(better)], default=0)
            factor = min(factor, np.exp(-strength * iou[better, worse] ** 2) / np.exp(-strength * own**2))
        result.append(scores[worse] * factor)
    return np.array(result)


def box_nms(boxes, scores, most):
    kept = []
    for number in sorted(range(len(boxes)), key=lambda at: -scores[at]):
        x0, y0, x1, y1 = boxes[number]
        fine = True
        for other in kept:
            a0, b0, a1, b1 = boxes[other]
            common = max(0, min(x1, a1) - max(x0, a0)) * max(0, min(y1, b1) - max(y0, b0))
            fine &= common / ((x1 - x0) * (y1 - y0) + (a1 - a0) * (b1 - b0) - common) <= most
        if fine:
            kept.append(number)
    return kept


def line_attention(maps, weights, heads, axis, gain):
    """One map (C, h, w), attention along y (axis 2) or x (axis 3)."""
    query_weight, key_value_weight, out_weight, out_bias = weights
    channels, height, width = maps.shape
    each = channels // heads
    result = np.zeros_like(maps)
    for line in range(width if axis == 2 else height):
        tokens = (maps[:, :, line] if axis == 2 else maps[:, line, :]).T
        query = tokens @ query_weight.T
        both = tokens @ key_value_weight.T
        key, value = both[:, :channels], both[:, channels:]
        seen = np.zeros_like(tokens)
        for head in range(heads):
            part = slice(head * each, (head + 1) * each)
            dots = query[:, part] @ key[:, part].T / np.sqrt(each)
            share = np.exp(dots - dots.max(1, keepdims=True))
            share /= share.sum(1, keepdims=True)
            seen[:, part] = share @ value[:, part]
        answer = gain * (seen @ out_weight.T + out_bias)
        if axis == 2:
            result[:, :, line] = answer.T
        else:
            result[:, line, :] = answer.T
    return result
