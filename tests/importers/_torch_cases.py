"""Small PyTorch functions and layers, each with its inputs, for comparison with eager PyTorch."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 - the name that everybody gives it
from torch import nn


class Of(nn.Module):
    """A function as a module."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *inputs):
        return self.function(*inputs)


def image(*shape):
    return torch.randn(*(shape or (1, 4, 9, 7)))


def positive(*shape):
    return torch.rand(*shape) + 0.3


def whole(limit, *shape):
    return torch.randint(0, limit, shape)


def _in_place(x):
    y = x.clone()
    y[:, 1:3] += 1
    y[:, 0].mul_(2)
    y.select(1, 3).copy_(x[:, 0])
    y[..., ::2] = 0.5
    return y


def _view_of_view(x):
    y = x.clone()
    part = y[1:]
    part.view(-1)[2:4].fill_(7)
    y.t().relu_()
    return part * 2, y


def _written_after(x):
    """A view taken before its base is written shows what was written."""
    y = x * 1
    part = y[:, :2]
    y.add_(3)
    return part.sum(), y.unsqueeze_(0)


def _mask(x):
    return torch.where(x > 0.5, x, torch.zeros_like(x)).masked_fill(x < -1, 9.0)


def _sizes(x):
    n, c, h, w = x.shape
    return x.view(n, c // 2, 2, h * w).permute(0, 2, 1, 3).reshape(n, -1, w)


def _positions(x):
    return x + torch.arange(x.shape[-1], dtype=torch.float32) / x.shape[-1] - torch.linspace(0, 1, x.shape[-1])


def _put(x):
    y = x.clone()
    y[torch.tensor([0, 2])] = 1.5
    y[:, torch.tensor([1, 3])] = x[:, torch.tensor([0, 2])]
    y[x > 1] = 0.0
    return y


def _causal(x):
    mask = torch.triu(torch.full((x.shape[-2], x.shape[-2]), float("-inf")), diagonal=1)
    return F.scaled_dot_product_attention(x, x, x, attn_mask=mask)


# name: (function or module, inputs)
def _sampled(x, grid):
    """Every mode and padding."""
    return tuple(
        F.grid_sample(x, grid, mode=mode, padding_mode=padding, align_corners=corners)
        for mode, padding, corners in (
            ("bilinear", "zeros", False), ("bilinear", "border", True), ("bilinear", "reflection", False),
            ("nearest", "zeros", False), ("nearest", "border", True), ("nearest", "reflection", True),
            ("bicubic", "zeros", False), ("bicubic", "border", True), ("bicubic", "reflection", False),
        )
    )  # fmt: skip


def _transformed(x, theta):
    """A spatial transformer."""
    return F.grid_sample(x, F.affine_grid(theta, (2, 3, 5, 4), align_corners=False), align_corners=False)


CASES = {
    # elementwise
    "relu": (F.relu, [image()]),
    "activations_1": (lambda x: F.silu(x) + F.hardswish(x) + F.hardsigmoid(x) + F.relu6(x * 4), [image()]),
    "activations_2": (lambda x: F.gelu(x) + F.gelu(x, approximate="tanh") + F.mish(x) + F.softplus(x), [image()]),
    "activations_3": (lambda x: F.elu(x) + F.celu(x, 0.7) + F.selu(x) + F.leaky_relu(x, 0.2), [image()]),
    "activations_4": (lambda x: F.softsign(x) + F.tanhshrink(x) + F.softshrink(x) + F.hardshrink(x), [image()]),
    "activations_5": (lambda x: F.logsigmoid(x) + F.threshold(x, 0.1, 20.0) + F.hardtanh(x, -0.4, 0.6), [image()]),
    "activations_6": (lambda x: F.softplus(x, beta=2.0) + F.glu(torch.cat([x, x], 1), 1) + F.rrelu(x), [image()]),
    "prelu": (nn.PReLU(4), [image()]),
    "prelu_single": (nn.PReLU(), [image()]),
    "functions_1": (lambda x: torch.exp(x) + torch.sqrt(x) + torch.rsqrt(x) + 1 / x + torch.log(x), [positive(3, 4)]),
    "functions_2": (lambda x: torch.log2(x) + torch.log10(x) + torch.log1p(x) + torch.expm1(x), [positive(3, 4)]),
    "functions_3": (
        lambda x: torch.sin(x) + torch.cos(x) + torch.tan(x) + torch.sinh(x) + torch.cosh(x),
        [image(3, 4)],
    ),
    "functions_4": (lambda x: torch.erf(x) + torch.erfc(x) + torch.sign(x) + torch.abs(x) - x.neg(), [image(3, 4)]),
    "rounding": (lambda x: torch.floor(x) + torch.ceil(x) * 2 + torch.round(x) * 4 + torch.trunc(x) * 8, [image(3, 4)]),
    "powers": (lambda x: x**2 + x**0.5 + x**-1 + x**3 + x**1.7 + 2**x, [positive(3, 4)]),
    "arithmetic": (
        lambda x, y: (x + y) * (x - 2) / (y * y + 1) - (3 - x) + torch.add(x, y, alpha=0.5),
        [image(3, 4), image(4)],
    ),
    "division": (
        lambda x, y: torch.div(x, y, rounding_mode="floor") + torch.div(x, y, rounding_mode="trunc") + x % y,
        [image(3, 4) * 5, positive(3, 4)],
    ),
    "integers": (lambda x: (x * 2 + 1, x // 3, x / 2, x.float() * 0.5, x > 3, x.sum()), [whole(9, 3, 4)]),
    "clamps": (
        lambda x: x.clamp(-0.5, 0.5) + x.clamp(min=0) + x.clamp_max(0.3) + torch.maximum(x, x * 2),
        [image(3, 4)],
    ),
    "comparisons": (
        lambda x, y: (x > y, x <= 0, x == y, (x > 0) & (y > 0), ~(x > 0), (x > 0) ^ (y > 0)),
        [image(3, 4), image(3, 4)],
    ),
    "where": (_mask, [image(3, 4)]),
    "fused": (
        lambda x, y: torch.addcmul(x, y, y, value=0.5) + torch.addcdiv(x, y, y + 9) + torch.lerp(x, y, 0.3),
        [image(3, 4), positive(3, 4)],
    ),
    "dtypes": (lambda x: (x.to(torch.int32), x.long(), x.bool(), x.double().float(), x.type_as(x)), [image(3, 4) * 3]),
    # movement
    "shapes": (_sizes, [image(1, 4, 6, 5)]),
    "squeezes": (lambda x: x.unsqueeze(0).squeeze().unsqueeze(-1).flatten(0, 1).unflatten(0, (2, -1)), [image(4, 5)]),
    "transposes": (
        lambda x: (x.transpose(1, 2), x.permute(2, 0, 1), x.mT, x.movedim(0, -1), x.swapaxes(0, 1)),
        [image(2, 3, 4)],
    ),
    "slices": (
        lambda x: (x[:, 1:], x[..., ::2], x[:, -1], x[1], x.narrow(1, 1, 2), x[None, :, None]),
        [image(3, 4, 5)],
    ),
    "splits": (
        lambda x: (*x.split(2, 1), *x.chunk(3, 1), *x.unbind(0), *x.split([1, 4], 1), *x.tensor_split(2, 1)),
        [image(2, 5)],
    ),
    "joins": (
        lambda x, y: (torch.cat([x, y], 1), torch.stack([x, y], -1), torch.hstack([x, y]), torch.vstack([x, y])),
        [image(3, 4), image(3, 4)],
    ),
    "expansions": (
        lambda x: (x.expand(3, 4, 5), x.repeat(2, 1, 3), x.repeat_interleave(2, 1), x.expand(-1, 4, -1) * 2),
        [image(1, 4, 5)],
    ),
    "flips": (lambda x: (x.flip(1), x.roll(2, 0), x.roll((1, 2), (0, 1)), x.roll(3)), [image(3, 4)]),
    "pads": (
        lambda x: (
            F.pad(x, (1, 2)),
            F.pad(x, (1, 1, 2, 0), value=3.0),
            F.pad(x, (2, 1, 1, 2), mode="reflect"),
            F.pad(x, (2, 1, 1, 0), mode="replicate"),
            F.pad(x, (1, 2, 1, 1), mode="circular"),
            F.pad(x, (-1, 1)),
        ),
        [image()],
    ),
    "pixel_shuffle": (
        lambda x: (F.pixel_shuffle(x, 2), F.pixel_unshuffle(x, 2), F.channel_shuffle(x, 2)),
        [image(1, 8, 4, 6)],
    ),
    "unfold": (lambda x: x.unfold(1, 3, 2), [image(2, 9)]),
    "im2col": (lambda x: F.unfold(x, (3, 2), dilation=(1, 2), padding=1, stride=2), [image()]),
    "triangles": (lambda x: (x.tril(), x.triu(1), x.diagonal()), [image(4, 4)]),
    "broadcast": (lambda x, y: torch.broadcast_tensors(x, y), [image(3, 1), image(4)]),
    "meshgrid": (lambda x, y: torch.meshgrid(x, y, indexing="xy"), [image(3), image(4)]),
    "positions": (_positions, [image(3, 8)]),
    # aliasing
    "in_place": (_in_place, [image(2, 4, 5)]),
    "view_of_view": (_view_of_view, [image(4, 4)]),
    "written_after": (_written_after, [image(3, 4)]),
    # products
    "linear": (nn.Linear(6, 5), [image(2, 3, 6)]),
    "linear_row": (nn.Linear(6, 5), [image(6)]),
    "matmuls": (
        lambda x, y: (x @ y, x[0] @ y, x @ y[0, :, 0], torch.bmm(x, y), x[0, 0] @ y[0]),
        [image(2, 3, 4), image(2, 4, 5)],
    ),
    "addmm": (
        lambda x, y, z: torch.addmm(x, y, z, beta=0.5, alpha=2.0) + torch.baddbmm(x, y[None], z[None])[0],
        [image(3, 5), image(3, 4), image(4, 5)],
    ),
    "bilinear": (nn.Bilinear(4, 5, 3), [image(2, 4), image(2, 5)]),
    "einsum": (
        lambda x, y: (
            torch.einsum("bij,bjk->bik", x, y),
            torch.einsum("...ij,...jk->...ik", x, y),
            torch.einsum("bij->bi", x),
        ),
        [image(2, 3, 4), image(2, 4, 5)],
    ),
    "outer": (lambda x, y: torch.outer(x, y), [image(3), image(4)]),
    # reductions and normalisations
    "softmaxes": (lambda x: (F.softmax(x, 1), F.log_softmax(x, -1), F.softmin(x, 0)), [image(3, 4)]),
    "reductions": (
        lambda x: (x.mean(), x.sum(1), x.mean((1, 2), keepdim=True), x.amax(1), x.amin((0, 1)), x.prod(1)),
        [image(2, 3, 4)],
    ),
    "extremes": (
        lambda x: (*x.max(1), *x.min(0), x.max(), x.argmax(1), x.argmin(), x.argmax(1, keepdim=True)),
        [image(3, 4)],
    ),
    "spreads": (
        lambda x: (x.var(1), x.std(), x.var(0, unbiased=False), *torch.var_mean(x, 1), x.logsumexp(1)),
        [image(3, 4)],
    ),
    "norms": (
        lambda x: (x.norm(), x.norm(p=1, dim=1), torch.linalg.vector_norm(x, 3, 1), F.normalize(x, dim=1)),
        [image(3, 4)],
    ),
    "truths": (lambda x: ((x > 0).any(), (x > 0).all(1), x.isnan(), x.isinf(), torch.isfinite(x)), [image(3, 4)]),
    "layer_norm": (nn.LayerNorm((4, 5)), [image(3, 4, 5)]),
    "group_norm": (nn.GroupNorm(2, 4), [image()]),
    "instance_norm": (nn.InstanceNorm2d(4, affine=True), [image()]),
    "rms_norm": (nn.RMSNorm(5), [image(3, 5)]),
    "batch_norm_1d": (nn.BatchNorm1d(4), [image(3, 4, 5)]),
    "local_response_norm": (nn.LocalResponseNorm(3), [image()]),
    "weight_norm": (nn.utils.parametrizations.weight_norm(nn.Linear(4, 5)), [image(3, 4)]),
    "cosine": (nn.CosineSimilarity(), [image(3, 4), image(3, 4)]),
    # convolutions, pools, resizing
    "conv": (nn.Conv2d(4, 6, 3, stride=2, padding=1), [image()]),
    "conv_dilated": (nn.Conv2d(4, 6, (3, 2), dilation=(2, 1), padding=(2, 0), bias=False), [image()]),
    "conv_groups": (nn.Conv2d(4, 8, 3, groups=2, padding="same"), [image()]),
    "conv_depthwise": (nn.Conv2d(4, 8, 3, groups=4, padding="valid"), [image()]),
    "conv_unbatched": (nn.Conv2d(4, 6, 3), [image(4, 8, 8)]),
    "conv_1d": (nn.Conv1d(4, 6, 5, padding=2, stride=2), [image(2, 4, 20)]),
    "conv_3d": (nn.Conv3d(2, 3, 3, padding=1), [image(1, 2, 5, 6, 7)]),
    "conv_reflect": (nn.Conv2d(4, 6, 3, padding=1, padding_mode="reflect"), [image()]),
    "conv_transposed": (nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, output_padding=1), [image()]),
    "conv_transposed_groups": (nn.ConvTranspose2d(4, 6, 4, stride=2, groups=2), [image()]),
    "conv_transposed_1d": (nn.ConvTranspose1d(4, 6, 4, stride=2, padding=1), [image(1, 4, 9)]),
    "max_pool": (
        lambda x: (F.max_pool2d(x, 3, 2, 1), F.max_pool2d(x, 2, ceil_mode=True), F.max_pool2d(x, 2, 1, 0, 2)),
        [image()],
    ),
    "average_pool": (
        lambda x: (
            F.avg_pool2d(x, 3, 2, 1),
            F.avg_pool2d(x, 3, 2, 1, count_include_pad=False),
            F.avg_pool2d(x, 2, ceil_mode=True),
        ),
        [image()],
    ),
    "pool_1d": (lambda x: (F.max_pool1d(x, 2), F.avg_pool1d(x, 3, 1, 1)), [image(2, 4, 9)]),
    "adaptive": (
        lambda x: (
            F.adaptive_avg_pool2d(x, 1),
            F.adaptive_avg_pool2d(x, (3, 2)),
            F.adaptive_avg_pool2d(x, (4, None)),
            F.adaptive_max_pool2d(x, (4, 3)),
            F.adaptive_avg_pool1d(x[0], 5),
        ),
        [image()],
    ),
    "nearest": (
        lambda x: (
            F.interpolate(x, scale_factor=2),
            F.interpolate(x, (5, 6)),
            F.interpolate(x, (5, 11), mode="nearest-exact"),
        ),
        [image()],
    ),
    "bilinear_resize": (
        lambda x: (
            F.interpolate(x, scale_factor=2, mode="bilinear"),
            F.interpolate(x, (5, 13), mode="bilinear", align_corners=True),
            F.interpolate(x, scale_factor=1.5, mode="bilinear"),
        ),
        [image()],
    ),
    "bicubic_resize": (
        lambda x: (
            F.interpolate(x, (12, 10), mode="bicubic"),
            F.interpolate(x, (5, 6), mode="bicubic", align_corners=True),
        ),
        [image()],
    ),
    "linear_resize": (lambda x: F.interpolate(x, scale_factor=2, mode="linear"), [image(1, 4, 7)]),
    # indices
    "embedding": (nn.Embedding(7, 5), [whole(7, 2, 3)]),
    "embedding_bag": (nn.EmbeddingBag(7, 5, mode="mean"), [whole(7, 2, 3)]),
    "gathers": (
        lambda x, i: (x.gather(1, i), torch.index_select(x, 0, i[:, 0]), torch.take_along_dim(x, i, 1)),
        [image(3, 4), whole(3, 3, 2)],
    ),
    "indexing": (
        lambda x, i: (x[i], x[:, i], x[i, i], x[:, None, i], x[torch.tensor([2, 0])], x[..., torch.tensor([0, 2])]),
        [image(3, 3, 4), whole(3, 2)],
    ),
    "scatters": (
        lambda x, i: (x.scatter(1, i, 2.5), x.scatter_add(1, i, x), x.index_add(0, i[:, 0], x)),
        [image(3, 4), whole(3, 3, 2)],
    ),
    "index_put": (_put, [image(4, 4)]),
    "orders": (
        lambda x: (*x.topk(2, 1), *x.sort(0, descending=True), x.argsort(1), *x.kthvalue(2, 1), *x.median(1)),
        [image(4, 5)],
    ),
    "running": (lambda x: x.cumsum(1), [image(3, 4)]),
    "one_hot": (lambda x: F.one_hot(x, 5), [whole(5, 2, 3)]),
    # layers of their own
    "lstm": (nn.LSTM(5, 6, 2, bidirectional=True, batch_first=True), [image(2, 7, 5)]),
    "lstm_projected": (nn.LSTM(5, 6, proj_size=4), [image(7, 2, 5)]),
    "gru": (nn.GRU(5, 6, bidirectional=True), [image(7, 2, 5)]),
    "rnn": (nn.RNN(5, 6, nonlinearity="relu"), [image(7, 5)]),
    "lstm_cell": (nn.LSTMCell(5, 6), [image(2, 5)]),
    "gru_cell": (nn.GRUCell(5, 6), [image(2, 5)]),
    "attention": (lambda x: F.scaled_dot_product_attention(x, x, x, is_causal=True), [image(1, 2, 5, 8)]),
    "attention_grouped": (
        lambda q, k: F.scaled_dot_product_attention(q, k, k, enable_gqa=True),
        [image(1, 4, 5, 8), image(1, 2, 6, 8)],
    ),
    "attention_masked": (_causal, [image(1, 2, 5, 8)]),
    "multihead": (nn.MultiheadAttention(8, 2, batch_first=True), [image(1, 5, 8), image(1, 6, 8), image(1, 6, 8)]),
    "transformer": (
        nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, norm_first=True, activation="gelu"),
        [image(1, 5, 8)],
    ),
    # sampling
    "grid_sample": (_sampled, [image(2, 3, 6, 7), torch.rand(2, 5, 4, 2) * 3 - 1.5]),
    "grid_sample_volume": (
        lambda x, grid: F.grid_sample(x, grid, align_corners=True),
        [image(1, 2, 4, 5, 6), torch.randn(1, 3, 2, 4, 3)],
    ),
    "affine_grid": (lambda theta: F.affine_grid(theta, (2, 1, 4, 5, 3), align_corners=True), [image(2, 3, 4)]),
    "spatial_transformer": (_transformed, [image(2, 3, 6, 7), image(2, 2, 3)]),
    # rarer ones
    "arcs": (
        lambda x: torch.asin(x) + torch.acos(x) + torch.atan(x) + torch.asinh(x) + torch.atanh(x),
        [positive(3, 4) / 2],
    ),
    "atan2": (lambda x, y: torch.atan2(x, y) + torch.hypot(x, y) + torch.logaddexp(x, y), [image(3, 4), image(3, 4)]),
    "bits": (lambda x: (x & 3, x | 4, x ^ 5, ~(x > 3), x << 2, x >> 1, (x > 3) | (x < 1)), [whole(9, 3, 4)]),
    "signs": (lambda x, y: (torch.copysign(x, y), torch.signbit(x), torch.heaviside(x, y)), [image(3, 4), image(3, 4)]),
    "nans": (lambda x: (torch.nansum(x / x.relu()), torch.nan_to_num(x / x.relu())), [image(3, 4)]),
    "distances": (lambda x, y: (torch.cdist(x, y), torch.cdist(x, y, p=1.0)), [image(3, 4), image(5, 4)]),
    "tensordot": (lambda x, y: (torch.tensordot(x, y, 2), torch.inner(x, x)), [image(2, 3, 4), image(3, 4, 5)]),
    "medians": (lambda x: (x.median(), *x.median(1), x.kthvalue(2).values), [image(3, 5)]),
    "buckets": (
        lambda x: (
            torch.bucketize(x, torch.tensor([-0.5, 0.1, 0.7])),
            torch.searchsorted(torch.tensor([0.0, 1.0]), x, right=True),
        ),
        [image(3, 5)],
    ),
    "strided": (lambda x: x.as_strided((2, 3), (4, 1), 1) * 2, [image(3, 4)]),
    "diagonals": (
        lambda x: (
            torch.diag(x[0]),
            torch.diag(x, 1),
            torch.diag_embed(x),
            x[torch.tril_indices(3, 4)[0], torch.tril_indices(3, 4)[1]],
        ),
        [image(3, 4)],
    ),
    "fold": (nn.Fold((6, 7), 3, stride=2, padding=1), [image(2, 18, 12)]),
    "antialiased": (
        lambda x: (
            F.interpolate(x, (3, 4), mode="bilinear", antialias=True),
            F.interpolate(x, (4, 3), mode="bicubic", antialias=True),
        ),
        [image()],
    ),
    "trilinear": (
        lambda x: (
            F.interpolate(x, scale_factor=2.0, mode="trilinear"),
            F.avg_pool3d(x, 2),
            F.adaptive_avg_pool3d(x, 2),
        ),
        [image(1, 2, 4, 4, 6)],
    ),
    "named_result": (lambda x: x.sort(1), [image(3, 5)]),
    "decoder": (nn.TransformerDecoderLayer(8, 2, 16, batch_first=True), [image(1, 3, 8), image(1, 4, 8)]),
    "circular": (nn.Conv2d(4, 4, 3, padding=1, padding_mode="circular"), [image()]),
}
