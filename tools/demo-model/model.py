# SPDX-License-Identifier: MIT
"""A Llama-architecture language model in PyTorch, for training.

Parameters carry the names and shapes that GGUF gives them, so exporting is
a plain copy.  Rotary embedding turns adjacent pairs (x[2i], x[2i+1]), which
is how `llama` GGUF files are run; no permutation of q and k is needed.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn


@dataclass
class Shape:
    vocabulary: int = 2048
    width: int = 128
    layers: int = 6
    heads: int = 4
    kv_heads: int = 2
    hidden: int = 384
    context: int = 512
    rope_base: float = 10000.0
    epsilon: float = 1e-5

    @property
    def head_width(self):
        return self.width // self.heads


def rms_norm(x, weight, epsilon):
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + epsilon) * weight


def rotate(x, cosine, sine):
    """Turn the pairs of x (…, positions, heads, head width) by position."""
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.stack((even * cosine - odd * sine,
                        even * sine + odd * cosine), -1).flatten(-2)


class Block(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.shape = shape
        kv_width = shape.kv_heads * shape.head_width
        self.attn_norm = nn.Parameter(torch.ones(shape.width))
        self.attn_q = nn.Linear(shape.width, shape.width, bias=False)
        self.attn_k = nn.Linear(shape.width, kv_width, bias=False)
        self.attn_v = nn.Linear(shape.width, kv_width, bias=False)
        self.attn_output = nn.Linear(shape.width, shape.width, bias=False)
        self.ffn_norm = nn.Parameter(torch.ones(shape.width))
        self.ffn_gate = nn.Linear(shape.width, shape.hidden, bias=False)
        self.ffn_up = nn.Linear(shape.width, shape.hidden, bias=False)
        self.ffn_down = nn.Linear(shape.hidden, shape.width, bias=False)

    def attend(self, x, cosine, sine, mask):
        shape = self.shape
        batch, length, _ = x.shape
        group = shape.heads // shape.kv_heads
        split = (batch, length, -1, shape.head_width)
        q = rotate(self.attn_q(x).view(split), cosine, sine)
        k = rotate(self.attn_k(x).view(split), cosine, sine)
        v = self.attn_v(x).view(split)
        # Query heads that share a key head become rows of one matrix.
        q = q.view(batch, length, shape.kv_heads, group, -1)
        q = q.permute(0, 2, 3, 1, 4).reshape(batch * shape.kv_heads, group * length, -1)
        k = k.permute(0, 2, 3, 1).reshape(batch * shape.kv_heads, -1, length)
        v = v.transpose(1, 2).reshape(batch * shape.kv_heads, length, -1)
        scores = torch.baddbmm(mask.repeat(group, 1), q, k,
                               alpha=1 / math.sqrt(shape.head_width))
        y = torch.bmm(F.softmax(scores, -1), v)
        y = y.view(batch, shape.heads, length, -1).transpose(1, 2)
        return self.attn_output(y.reshape(batch, length, -1))

    def forward(self, x, cosine, sine, mask):
        epsilon = self.shape.epsilon
        x = x + self.attend(rms_norm(x, self.attn_norm, epsilon), cosine, sine, mask)
        y = rms_norm(x, self.ffn_norm, epsilon)
        return x + self.ffn_down(F.silu(self.ffn_gate(y)) * self.ffn_up(y))


class Llama(nn.Module):
    """Token ids (batch, length) in, logits (batch, length, vocabulary) out."""

    def __init__(self, shape):
        super().__init__()
        self.shape = shape
        self.token_embd = nn.Embedding(shape.vocabulary, shape.width)
        self.blk = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.output_norm = nn.Parameter(torch.ones(shape.width))
        for name, parameter in self.named_parameters():
            if parameter.ndim == 2:
                deviation = 0.02 if "embd" in name else parameter.shape[1] ** -0.5
                if "output" in name or "down" in name:
                    deviation /= math.sqrt(2 * shape.layers)
                nn.init.normal_(parameter, std=deviation)
        pairs = torch.arange(0, shape.head_width, 2) / shape.head_width
        angles = torch.outer(torch.arange(shape.context), shape.rope_base ** -pairs)
        self.register_buffer("cosine", angles.cos()[:, None], persistent=False)
        self.register_buffer("sine", angles.sin()[:, None], persistent=False)
        mask = torch.full((shape.context, shape.context), -math.inf).triu(1)
        self.register_buffer("mask", mask, persistent=False)

    def forward(self, tokens):
        length = tokens.shape[1]
        x = self.token_embd(tokens)
        for block in self.blk:
            x = block(x, self.cosine[:length], self.sine[:length],
                      self.mask[:length, :length])
        x = rms_norm(x, self.output_norm, self.shape.epsilon)
        return F.linear(x, self.token_embd.weight)

    def gguf_tensors(self):
        """Return (GGUF name, array) pairs: matrices in F16, norms in F32."""
        tensors = []
        for name, parameter in self.state_dict().items():
            if not name.endswith(".weight"):
                name += ".weight"
            kind = torch.float16 if parameter.ndim == 2 else torch.float32
            tensors.append((name, parameter.to(kind).numpy()))
        return tensors
