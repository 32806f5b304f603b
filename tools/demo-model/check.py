#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Run a `llama` GGUF file with a second, plain implementation in NumPy.

It shares nothing with the training code but the GGUF reader: the tokenizer
works from the metadata in the file, and the model runs one token at a time
with a KV cache.  With --trained it also runs the PyTorch checkpoint and
SentencePiece on the same prompts and fails where they differ.
"""

import argparse
import heapq
import json
import os
import re
import sys

import numpy as np

import gguf

PROMPTS = ["In the beginning", "Once upon a time", "The king said to", "David",
           "He answered,", "There was a man", "Jesus said to them, \"",
           "Blessed is the one who", "The word of Yahweh came to me"]


class Tokenizer:
    """SentencePiece BPE from `tokenizer.ggml.*`: best-scored merge first."""

    def __init__(self, metadata):
        key = "tokenizer.ggml."
        self.pieces = metadata[key + "tokens"]
        self.scores = metadata[key + "scores"]
        self.types = metadata[key + "token_type"]
        self.bos = metadata[key + "bos_token_id"]
        self.eos = metadata[key + "eos_token_id"]
        self.space_prefix = metadata.get(key + "add_space_prefix", True)
        self.ids = {piece: token for token, piece in enumerate(self.pieces)
                    if self.types[token] == 1}
        self.bytes = {int(piece[3:5], 16): token for token, piece in enumerate(self.pieces)
                      if self.types[token] == 6}

    def encode(self, text):
        text = (" " if self.space_prefix else "") + text
        symbols = list(text.replace(" ", "\u2581"))
        following = list(range(1, len(symbols) + 1))
        previous = list(range(-1, len(symbols) - 1))
        queue = []

        def offer(left):
            right = following[left] if left >= 0 else len(symbols)
            if right < len(symbols):
                token = self.ids.get(symbols[left] + symbols[right])
                if token is not None:
                    heapq.heappush(queue, (-self.scores[token], left,
                                           symbols[left], symbols[right]))

        for left in range(len(symbols)):
            offer(left)
        while queue:
            _, left, first, second = heapq.heappop(queue)
            right = following[left]
            if symbols[left] != first or right >= len(symbols) or symbols[right] != second:
                continue
            symbols[left], symbols[right] = first + second, None
            following[left] = following[right]
            if following[right] < len(symbols):
                previous[following[right]] = left
            offer(previous[left])
            offer(left)

        tokens = []
        for symbol in symbols:
            if symbol in self.ids:
                tokens.append(self.ids[symbol])
            elif symbol is not None:
                tokens += [self.bytes[byte] for byte in symbol.encode("utf-8")]
        return tokens

    def decode(self, tokens):
        data = b""
        for token in tokens:
            if self.types[token] == 6:
                data += bytes([int(self.pieces[token][3:5], 16)])
            elif self.types[token] == 1:
                data += self.pieces[token].replace("\u2581", " ").encode("utf-8")
        return data.decode("utf-8", "replace")


class Reference:
    """Llama inference, token by token, in double precision."""

    def __init__(self, metadata, tensors):
        self.metadata = metadata
        self.tensors = {name: array.astype(np.float64) for name, array in tensors.items()}
        self.layers = metadata["llama.block_count"]
        self.heads = metadata["llama.attention.head_count"]
        self.kv_heads = metadata["llama.attention.head_count_kv"]
        self.epsilon = metadata["llama.attention.layer_norm_rms_epsilon"]
        self.head_width = metadata["llama.embedding_length"] // self.heads
        base = metadata.get("llama.rope.freq_base", 10000.0)
        pairs = np.arange(0, self.head_width, 2) / self.head_width
        self.frequencies = base ** -pairs
        self.cache = [([], []) for _ in range(self.layers)]

    def norm(self, x, name):
        return x / np.sqrt(np.mean(x * x) + self.epsilon) * self.tensors[name]

    def rotate(self, heads, position):
        turned = heads[:, 0::2] + 1j * heads[:, 1::2]
        turned = turned * np.exp(1j * position * self.frequencies)
        return np.stack((turned.real, turned.imag), -1).reshape(heads.shape)

    def step(self, token):
        """Take one token; return the logits for the next."""
        w = self.tensors
        x = w["token_embd.weight"][token]
        for layer in range(self.layers):
            name = f"blk.{layer}."
            keys, values = self.cache[layer]
            position = len(keys)
            y = self.norm(x, name + "attn_norm.weight")
            q = (w[name + "attn_q.weight"] @ y).reshape(self.heads, -1)
            k = (w[name + "attn_k.weight"] @ y).reshape(self.kv_heads, -1)
            v = (w[name + "attn_v.weight"] @ y).reshape(self.kv_heads, -1)
            keys.append(self.rotate(k, position))
            values.append(v)
            q = self.rotate(q, position)
            mixed = []
            for head in range(self.heads):
                source = head * self.kv_heads // self.heads
                scores = np.array([q[head] @ key[source] for key in keys])
                scores = np.exp((scores - scores.max())
                                / np.sqrt(self.head_width))
                scores /= scores.sum()
                mixed.append(sum(p * value[source] for p, value in zip(scores, values)))
            x = x + w[name + "attn_output.weight"] @ np.concatenate(mixed)
            y = self.norm(x, name + "ffn_norm.weight")
            gate = w[name + "ffn_gate.weight"] @ y
            x = x + w[name + "ffn_down.weight"] @ (
                gate / (1 + np.exp(-gate)) * (w[name + "ffn_up.weight"] @ y))
        x = self.norm(x, "output_norm.weight")
        return w.get("output.weight", w["token_embd.weight"]) @ x


def generate(metadata, tensors, tokenizer, prompt, count, temperature=0.0, seed=0):
    """Return (prompt tokens, generated tokens, smallest lead of a choice)."""
    reference = Reference(metadata, tensors)
    generator = np.random.default_rng(seed)
    given = [tokenizer.bos, *tokenizer.encode(prompt)]
    for token in given:
        logits = reference.step(token)
    made, lead = [], np.inf
    while len(made) < count:
        if temperature:
            p = np.exp((logits - logits.max()) / temperature)
            token = int(generator.choice(len(p), p=p / p.sum()))
        else:
            token = int(logits.argmax())
            best = np.partition(logits, -2)[-2:]
            lead = min(lead, best[1] - best[0])
        if token == tokenizer.eos:
            break
        made.append(token)
        logits = reference.step(token)
    return given, made, lead


def compare_with_training(work, metadata, tensors, tokenizer, prompts, count):
    """Return the number of differences from the checkpoint in WORK."""
    import sentencepiece
    import torch

    from model import Llama, Shape

    with open(os.path.join(work, "model.json"), encoding="utf-8") as file:
        shape = Shape(**json.load(file)["shape"])
    model = Llama(shape)
    model.load_state_dict(torch.load(os.path.join(work, "model.pt")))
    processor = sentencepiece.SentencePieceProcessor(
        model_file=os.path.join(work, "tokenizer.model"))
    differences = 0
    for prompt in prompts:
        given, made, lead = generate(metadata, tensors, tokenizer, prompt, count)
        expected = [processor.bos_id(), *processor.encode(prompt)]
        if given != expected:
            differences += 1
            print(f"{prompt!r}: tokens {given}, SentencePiece says {expected}")
            continue
        with torch.no_grad():
            while len(expected) < len(given) + count:
                token = int(model(torch.tensor([expected]))[0, -1].argmax())
                if token == processor.eos_id():
                    break
                expected.append(token)
        same = given + made == expected
        differences += not same
        print(f"{prompt!r}: {len(made)} greedy tokens "
              f"{'agree' if same else 'DIFFER'} (smallest lead {lead:.4f})")
    return differences


def compare_tokenizers(work, tokenizer, text):
    """Return the number of paragraphs that SentencePiece splits otherwise."""
    import sentencepiece

    processor = sentencepiece.SentencePieceProcessor(
        model_file=os.path.join(work, "tokenizer.model"))
    parts = [text[i:i + 500] for i in range(0, len(text), 500)]
    differing = sum(tokenizer.encode(part) != processor.encode(part) for part in parts)
    print(f"tokenizer: {len(parts)} pieces of text, {differing} differ from SentencePiece")
    return differing


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model", help="GGUF file")
    parser.add_argument("--prompt", action="append", help="may be given several times")
    parser.add_argument("--tokens", type=int, default=60)
    parser.add_argument("--temperature", type=float, default=0.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--ids", action="store_true", help="print token ids as well")
    parser.add_argument("--expect", help="fail unless the continuation begins with this")
    parser.add_argument("--trained", metavar="WORK",
                        help="work directory of train.py to compare with")
    arguments = parser.parse_args()

    metadata, tensors = gguf.read(arguments.model)
    tokenizer = Tokenizer(metadata)
    prompts = arguments.prompt or PROMPTS
    if arguments.trained:
        with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "README.md"),
                  encoding="utf-8") as file:
            sample = re.sub(r"\n\n+", "\n", file.read())
        sys.exit(bool(compare_tokenizers(arguments.trained, tokenizer, sample)
                      + compare_with_training(arguments.trained, metadata, tensors, tokenizer,
                                              prompts, arguments.tokens)))
    for prompt in prompts:
        given, made, _ = generate(metadata, tensors, tokenizer, prompt, arguments.tokens,
                                  arguments.temperature, arguments.seed)
        text = tokenizer.decode(made)
        print(f"[{prompt}]{text}\n")
        if arguments.ids:
            print(f"tokens: {given} + {made}\n")
        if arguments.expect and not text.startswith(arguments.expect):
            sys.exit(f"expected the continuation {arguments.expect!r}")


if __name__ == "__main__":
    main()
