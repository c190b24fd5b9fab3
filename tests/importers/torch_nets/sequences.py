"""Recurrent networks, a vision transformer and a conformer-like block over audio features."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F  # noqa: N812 - the name that everybody gives it
from torch import nn


class TwoLayerLstm(nn.Module):
    def __init__(self, features=16, hidden=24, classes=10):
        super().__init__()
        self.lstm = nn.LSTM(features, hidden, 2, batch_first=True)
        self.fc = nn.Linear(hidden, classes)

    def forward(self, x):
        y, (h, c) = self.lstm(x)
        return self.fc(y[:, -1]), h, c


class GruTagger(nn.Module):
    """Tokens in, a tag for each of them out; bidirectional."""

    def __init__(self, words=50, hidden=24, tags=7):
        super().__init__()
        self.embedding = nn.Embedding(words, 16)
        self.gru = nn.GRU(16, hidden, bidirectional=True, batch_first=True)
        self.fc = nn.Linear(2 * hidden, tags)

    def forward(self, tokens):
        y, _ = self.gru(self.embedding(tokens))
        return F.log_softmax(self.fc(y), dim=-1)


class StreamingGru(nn.Module):
    """Keeps its hidden state in a buffer from call to call."""

    def __init__(self, features=8, hidden=12):
        super().__init__()
        self.cell = nn.GRUCell(features, hidden)
        self.register_buffer("hidden", torch.zeros(1, hidden))
        self.register_buffer("past", torch.zeros(1, 3, features))

    def forward(self, x):
        self.past[:, :-1] = self.past[:, 1:].clone()
        self.past[:, -1] = x
        self.hidden = self.cell(self.past.mean(1), self.hidden)
        return self.hidden * 2


class Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x):
        batch, length, width = x.shape
        parts = self.qkv(x).reshape(batch, length, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        q, k, v = parts.unbind(0)
        y = F.scaled_dot_product_attention(q, k, v)
        return self.proj(y.transpose(1, 2).reshape(batch, length, width))


class VisionBlock(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.norm1, self.attention = nn.LayerNorm(width), Attention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x):
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class VisionTransformer(nn.Module):
    """Dosovitskiy et al., 2020, small."""

    def __init__(self, size=32, patch=8, width=48, depth=3, heads=4, classes=10):
        super().__init__()
        self.patches = nn.Conv2d(3, width, patch, patch)
        self.token = nn.Parameter(torch.randn(1, 1, width) * 0.1)
        self.position = nn.Parameter(torch.randn(1, (size // patch) ** 2 + 1, width) * 0.1)
        self.blocks = nn.Sequential(*(VisionBlock(width, heads) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, classes)

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], dim=1) + self.position
        return self.head(self.norm(self.blocks(x))[:, 0])


class ConvolutionModule(nn.Module):
    def __init__(self, width, kernel):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.pointwise1 = nn.Conv1d(width, 2 * width, 1)
        self.depthwise = nn.Conv1d(width, width, kernel, padding=kernel // 2, groups=width)
        self.bn = nn.BatchNorm1d(width)
        self.pointwise2 = nn.Conv1d(width, width, 1)

    def forward(self, x):
        y = F.glu(self.pointwise1(self.norm(x).transpose(1, 2)), dim=1)
        return self.pointwise2(F.silu(self.bn(self.depthwise(y)))).transpose(1, 2)


class ConformerBlock(nn.Module):
    """Gulati et al., 2020: half a feed-forward, attention with sine positions, a convolution, half a feed-forward."""

    def __init__(self, width=32, heads=4, kernel=7, mels=20, classes=12):
        super().__init__()
        self.subsample = nn.Sequential(nn.Conv2d(1, 8, 3, 2), nn.ReLU(), nn.Conv2d(8, 8, 3, 2), nn.ReLU())
        self.project = nn.Linear(8 * (((mels - 1) // 2 - 1) // 2), width)
        self.forward1 = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 64), nn.SiLU(), nn.Linear(64, width))
        self.norm = nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.convolution = ConvolutionModule(width, kernel)
        self.forward2 = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 64), nn.SiLU(), nn.Linear(64, width))
        self.final = nn.LayerNorm(width)
        self.head = nn.Linear(width, classes)

    def positions(self, length: int, width: int):
        places = torch.arange(length, dtype=torch.float32).unsqueeze(1)
        rates = torch.exp(torch.arange(0, width, 2, dtype=torch.float32) * (-math.log(10000.0) / width))
        return torch.stack([torch.sin(places * rates), torch.cos(places * rates)], dim=2).flatten(1)

    def forward(self, features):
        x = self.subsample(features.unsqueeze(1))
        x = self.project(x.transpose(1, 2).flatten(2))
        x = x + self.positions(x.size(1), x.size(2))
        x = x + 0.5 * self.forward1(x)
        y = self.norm(x)
        x = x + self.attention(y, y, y, need_weights=False)[0]
        x = x + self.convolution(x)
        x = self.final(x + 0.5 * self.forward2(x))
        return self.head(x).log_softmax(-1)
