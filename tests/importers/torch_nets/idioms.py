"""What published models do in Python around their layers: masks, grids, windows, writes in place, caches.

Annotations stay as they are (no `from __future__ import annotations`): TorchScript evaluates them.
"""

import math
from typing import Optional

import torch
import torch.nn.functional as F  # noqa: N812 - the name that everybody gives it
from torch import nn


class MaskedEncoder(nn.Module):
    """BERT's attention: token and position embeddings, a padding mask added as large negative numbers."""

    def __init__(self, words=30, longest=12, width=16, heads=4):
        super().__init__()
        self.words, self.places = nn.Embedding(words, width), nn.Embedding(longest, width)
        self.norm = nn.LayerNorm(width)
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.heads = heads
        self.register_buffer("ids", torch.arange(longest)[None], persistent=False)

    def split(self, x):
        return x.view(x.size(0), -1, self.heads, x.size(-1) // self.heads).transpose(1, 2)

    def forward(self, tokens, mask):
        x = self.norm(self.words(tokens) + self.places(self.ids[:, : tokens.shape[1]]))
        hidden = (1.0 - mask[:, None, None, :].to(x.dtype)) * torch.finfo(torch.float32).min
        scores = self.split(self.query(x)) @ self.split(self.key(x)).transpose(-1, -2) / math.sqrt(4) + hidden
        y = (F.softmax(scores, -1) @ self.split(self.value(x))).permute(0, 2, 1, 3).contiguous()
        return y.view(*y.shape[:2], -1)[:, 0]


class BoxHead(nn.Module):
    """YOLO's decoding of boxes on a grid, written into the tensor in place."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 3 * 7, 3, 2, 1)
        self.register_buffer("anchors", torch.rand(3, 2) * 10)

    def forward(self, x):
        y = self.conv(x)
        batch, _, height, width = y.shape
        z = y.view(batch, 3, 7, height, width).permute(0, 1, 3, 4, 2).sigmoid()
        rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        z[..., 0] = z[..., 0] * 2 + columns
        z[..., 1] += rows
        z[..., 2:4] = (z[..., 2:4] * 2) ** 2 * self.anchors.view(1, 3, 1, 1, 2)
        return z.reshape(batch, -1, 7)


class ShiftedWindows(nn.Module):
    """Swin's attention: windows of 4 x 4 shifted by 2, a mask painted region by region, relative position biases."""

    def __init__(self, width=8, heads=2):
        super().__init__()
        self.qkv = nn.Linear(width, 3 * width)
        self.table = nn.Parameter(torch.randn(49, heads))
        places = torch.stack(torch.meshgrid(torch.arange(4), torch.arange(4), indexing="ij")).flatten(1)
        apart = (places[:, :, None] - places[:, None]).permute(1, 2, 0) + 3
        self.register_buffer("index", apart[..., 0] * 7 + apart[..., 1])

    @staticmethod
    def windows(x):
        batch, height, width, channels = x.shape
        parted = x.view(batch, height // 4, 4, width // 4, 4, channels).permute(0, 1, 3, 2, 4, 5)
        return parted.contiguous().view(-1, 16, channels)

    def mask(self, height, width):
        regions, number = torch.zeros((1, height, width, 1)), 0
        for rows in (slice(0, -4), slice(-4, -2), slice(-2, None)):
            for columns in (slice(0, -4), slice(-4, -2), slice(-2, None)):
                regions[:, rows, columns, :] = number
                number += 1
        parted = self.windows(regions).squeeze(-1)
        apart = parted.unsqueeze(1) - parted.unsqueeze(2)
        return apart.masked_fill(apart != 0, -100.0).masked_fill(apart == 0, 0.0)

    def forward(self, x):
        batch, height, width, channels = x.shape
        mask = self.mask(height, width)
        y = self.windows(torch.roll(x, (-2, -2), (1, 2)))
        q, k, v = self.qkv(y).reshape(-1, 16, 3, 2, channels // 2).permute(2, 0, 3, 1, 4)
        bias = self.table[self.index.view(-1)].view(16, 16, -1).permute(2, 0, 1).contiguous()
        scores = (q * 0.5) @ k.transpose(-2, -1) + bias.unsqueeze(0)
        scores = scores.view(-1, mask.shape[0], 2, 16, 16) + mask.unsqueeze(1).unsqueeze(0)
        y = (scores.view(-1, 2, 16, 16).softmax(-1) @ v).transpose(1, 2).reshape(-1, 16, channels)
        y = y.view(batch, height // 4, width // 4, 4, 4, channels).permute(0, 1, 3, 2, 4, 5)
        return torch.roll(y.reshape(batch, height, width, channels), (2, 2), (1, 2))


class CachedDecoder(nn.Module):
    """One step of a language model's attention: rotary positions, keys and values kept from step to step."""

    def __init__(self, steps=10):
        super().__init__()
        self.qkv = nn.Linear(16, 48, bias=False)
        self.register_buffer("keys", torch.zeros(1, 2, steps, 8))
        self.register_buffer("values", torch.zeros(1, 2, steps, 8))
        self.register_buffer("place", torch.zeros(1, dtype=torch.long))
        self.register_buffer("rates", 1 / (10000 ** (torch.arange(0, 8, 2).float() / 8)))

    def turned(self, x):
        angle = self.place.float() * self.rates
        angle = torch.cat([angle, angle])
        first, second = x.chunk(2, -1)
        return x * angle.cos() + torch.cat([-second, first], -1) * angle.sin()

    def forward(self, x):
        q, k, v = self.qkv(x).view(1, 1, 3, 2, 8).permute(2, 0, 3, 1, 4).unbind(0)
        self.keys.index_copy_(2, self.place, self.turned(k))
        self.values[:, :, self.place] = v
        seen = torch.arange(self.keys.shape[2])[None] <= self.place
        y = F.scaled_dot_product_attention(self.turned(q), self.keys, self.values, attn_mask=seen)
        self.place += 1
        return y.transpose(1, 2).reshape(1, 1, 16)


# State of TorchScript modules that is no buffer


class SetUpLater(nn.Module):
    hidden: Optional[torch.Tensor]  # noqa: UP045 - TorchScript reads this

    def __init__(self):
        super().__init__()
        self.hidden = None
        self.cell = nn.GRUCell(4, 4)

    def forward(self, x):
        hidden = self.hidden
        if hidden is None:
            hidden = torch.zeros(x.size(0), 4)
        hidden = self.cell(x, hidden)
        self.hidden = hidden
        return hidden


class PairOfStates(nn.Module):
    state: tuple[torch.Tensor, torch.Tensor]

    def __init__(self):
        super().__init__()
        self.state = (torch.zeros(1, 4), torch.ones(1, 4))
        self.cell = nn.LSTMCell(4, 4)

    def forward(self, x):
        self.state = self.cell(x, self.state)
        return self.state[0]


class Counting(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("count", torch.full((1,), 2.0))

    def forward(self, x):
        self.count += 1
        return x * self.count


class CountingInPython(nn.Module):
    def __init__(self):
        super().__init__()
        self.count = 0

    def forward(self, x):
        self.count += 1
        return x * self.count
