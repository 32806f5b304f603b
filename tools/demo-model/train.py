#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Train Tandem's demo model and write it as a GGUF file.

The learning rate falls along a cosine to zero over the whole run, which is
given in steps (repeatable) or in minutes (always ends with a finished model,
however busy the machine is).  The first part of the run uses short windows,
which are cheaper; the last part uses the full context.
"""

import argparse
import json
import math
import os
import time

import numpy as np
import torch
import torch.nn.functional as F

import corpus
import gguf
import tokenizer
from model import Llama, Shape


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--deb", help=f"{corpus.PACKAGE}_*.deb to read the text from")
    source.add_argument("--root", default="/",
                        help="directory that the package is installed or unpacked "
                             "in (default: /)")
    parser.add_argument("--work", default="work",
                        help="directory for tokenizer, checkpoint and log")
    parser.add_argument("--output", default="tandem-demo.gguf")
    length = parser.add_mutually_exclusive_group(required=True)
    length.add_argument("--minutes", type=float, help="wall time to train for")
    length.add_argument("--steps", type=int, help="steps to train for")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--vocabulary", type=int, default=Shape.vocabulary)
    parser.add_argument("--width", type=int, default=Shape.width)
    parser.add_argument("--layers", type=int, default=Shape.layers)
    parser.add_argument("--heads", type=int, default=Shape.heads)
    parser.add_argument("--kv-heads", type=int, default=Shape.kv_heads)
    parser.add_argument("--hidden", type=int, default=Shape.hidden)
    parser.add_argument("--context", type=int, default=Shape.context)
    parser.add_argument("--short-context", type=int, default=256)
    parser.add_argument("--full-context-share", type=float, default=0.15,
                        help="last part of the run that uses the full context")
    parser.add_argument("--batch-tokens", type=int, default=2048)
    parser.add_argument("--matrix-rate", type=float, default=0.02,
                        help="peak learning rate of Muon, for matrices")
    parser.add_argument("--rate", type=float, default=0.003,
                        help="peak learning rate of AdamW, for the rest")
    parser.add_argument("--weight-decay", type=float, default=0.05)
    return parser.parse_args()


def sentence_starts(text):
    """Yield where the paragraphs and sentences of a chapter begin."""
    yield 0
    for here in range(1, len(text)):
        if text[here - 1] == "\n":
            yield here
        elif text[here - 1] == " " and text[here - 2] in '.?!"' and (
                text[here].isupper() or text[here] == '"'):
            yield here


def make_windows(chapters, processor, length):
    """Return an array of token windows, one from every sentence on.

    Each window looks as the model will be used: BOS, then text that begins
    with a sentence.  A chapter ends with EOS and the next one begins.
    """
    windows = []
    for number, (_, text) in enumerate(chapters):
        following = []
        step = number
        while len(following) < length:
            step = (step + 1) % len(chapters)
            following += [tokenizer.BOS, *processor.encode(chapters[step][1])]
            following.append(tokenizer.EOS)
        for start in sentence_starts(text):
            # No token is longer than 16 characters, SentencePiece's limit.
            tokens = [tokenizer.BOS,
                      *processor.encode(text[start:start + 16 * length])]
            if start + 16 * length >= len(text):
                tokens.append(tokenizer.EOS)
            windows.append(np.array((tokens + following)[:length], np.uint16))
    return np.stack(windows)


def batches(windows, size, generator):
    """Yield (number of windows) index batches for ever, pass after pass."""
    order = np.empty(0, np.int64)
    while True:
        count = size()
        if len(order) < count:
            order = np.concatenate((order, generator.permutation(len(windows))))
        yield order[:count]
        order = order[count:]


def evaluate(model, chapters, processor):
    """Return (nats a token, bits a character) on whole chapters.

    A chapter is cut into pieces of the full context.  Every piece begins
    with BOS, so nothing is carried over from one to the next.
    """
    nats = tokens = characters = 0
    span = model.shape.context
    with torch.no_grad():
        for _, text in chapters:
            ids = [*processor.encode(text), tokenizer.EOS]
            characters += len(text)
            for start in range(0, len(ids), span):
                target = torch.tensor(ids[start:start + span])
                source = torch.cat((torch.tensor([tokenizer.BOS]), target[:-1]))
                logits = model(source[None])[0]
                nats += F.cross_entropy(logits, target, reduction="sum").item()
                tokens += len(target)
    return nats / tokens, nats / math.log(2) / characters


def orthogonalize(matrix):
    """Newton-Schulz iteration towards the nearest semi-orthogonal matrix."""
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    wide = wide / (wide.norm() + 1e-7)
    for _ in range(5):
        square = wide @ wide.T
        square = -4.7750 * square + 2.0315 * (square @ square)
        wide = 3.4445 * wide + square @ wide
    return wide if matrix.shape[0] <= matrix.shape[1] else wide.T


class Muon(torch.optim.Optimizer):
    """Momentum whose update is made orthogonal (K. Jordan, 2024)."""

    def __init__(self, parameters, lr, momentum=0.95, weight_decay=0.0):
        super().__init__(parameters, dict(lr=lr, momentum=momentum,
                                          weight_decay=weight_decay))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for parameter in group["params"]:
                state = self.state[parameter]
                if not state:
                    state["momentum"] = torch.zeros_like(parameter)
                state["momentum"].lerp_(parameter.grad, 1 - group["momentum"])
                update = parameter.grad.lerp(state["momentum"], group["momentum"])
                scale = math.sqrt(max(1, parameter.shape[0] / parameter.shape[1]))
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                parameter.add_(orthogonalize(update), alpha=-group["lr"] * scale)


def make_optimizers(model, arguments):
    matrices, embeddings, vectors = [], [], []
    for name, parameter in model.named_parameters():
        if parameter.ndim == 1:
            vectors.append(parameter)
        elif name.startswith("token_embd"):
            embeddings.append(parameter)
        else:
            matrices.append(parameter)
    return [Muon(matrices, arguments.matrix_rate,
                 weight_decay=arguments.weight_decay),
            torch.optim.AdamW([{"params": embeddings},
                               {"params": vectors, "weight_decay": 0.0}],
                              lr=arguments.rate, betas=(0.9, 0.95),
                              weight_decay=arguments.weight_decay)]


def schedule(progress):
    """Share of the peak rate: a short rise, then a cosine to zero."""
    warmup = 0.02
    if progress < warmup:
        return (progress + 1e-4) / warmup
    return 0.5 * (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup)))


def train(model, windows, held_out, processor, arguments, log):
    generator = np.random.default_rng(arguments.seed)
    optimizers = make_optimizers(model, arguments)
    peaks = [[group["lr"] for group in o.param_groups] for o in optimizers]
    span = min(arguments.short_context, arguments.context)
    stream = batches(windows, lambda: max(1, arguments.batch_tokens // span), generator)
    started = reported = saved = time.monotonic()
    step = seen = 0
    average = None
    while True:
        now = time.monotonic()
        if arguments.steps:
            progress = step / arguments.steps
        else:
            progress = (now - started) / (60 * arguments.minutes)
        if progress >= 1:
            return step, seen, now - started
        if progress >= 1 - arguments.full_context_share:
            span = arguments.context
        for optimizer, rates in zip(optimizers, peaks):
            for group, peak in zip(optimizer.param_groups, rates):
                group["lr"] = peak * schedule(progress)

        tokens = torch.from_numpy(windows[next(stream)][:, :span + 1].astype(np.int64))
        logits = model(tokens[:, :-1])
        loss = F.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())
        for optimizer in optimizers:
            optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()

        step += 1
        seen += tokens[:, 1:].numel()
        average = loss.item() if average is None else 0.98 * average + 0.02 * loss.item()
        if now - reported > 30:
            log(f"step {step}  {100 * progress:.1f} %  loss {average:.3f}  "
                f"{seen / (now - started):.0f} tokens/s")
            reported = now
        if now - saved > 300:
            loss, bits = evaluate(model, held_out[::4], processor)
            log(f"held out (a quarter): {loss:.3f} nats/token, {bits:.3f} bits/character")
            torch.save(model.state_dict(), os.path.join(arguments.work, "running.pt"))
            saved = time.monotonic()


def export(path, model, processor):
    shape = model.shape
    pieces, scores, types = tokenizer.gguf_vocabulary(processor)
    u32, f32 = gguf.UINT32, gguf.FLOAT32
    gguf.write(path, [
        ("general.architecture", gguf.STRING, "llama"),
        ("general.type", gguf.STRING, "model"),
        ("general.name", gguf.STRING, "tandem-demo"),
        ("general.description", gguf.STRING,
         "Tiny demonstration model of the Tandem project, trained on public-domain text"),
        ("general.license", gguf.STRING, "mit"),
        ("general.alignment", u32, gguf.ALIGNMENT),
        ("general.file_type", u32, 1),
        ("llama.vocab_size", u32, shape.vocabulary),
        ("llama.context_length", u32, shape.context),
        ("llama.embedding_length", u32, shape.width),
        ("llama.block_count", u32, shape.layers),
        ("llama.feed_forward_length", u32, shape.hidden),
        ("llama.attention.head_count", u32, shape.heads),
        ("llama.attention.head_count_kv", u32, shape.kv_heads),
        ("llama.attention.layer_norm_rms_epsilon", f32, shape.epsilon),
        ("llama.rope.dimension_count", u32, shape.head_width),
        ("llama.rope.freq_base", f32, shape.rope_base),
        ("tokenizer.ggml.model", gguf.STRING, "llama"),
        ("tokenizer.ggml.pre", gguf.STRING, "default"),
        ("tokenizer.ggml.tokens", (gguf.ARRAY, gguf.STRING), pieces),
        ("tokenizer.ggml.scores", (gguf.ARRAY, f32), scores),
        ("tokenizer.ggml.token_type", (gguf.ARRAY, gguf.INT32), types),
        ("tokenizer.ggml.bos_token_id", u32, tokenizer.BOS),
        ("tokenizer.ggml.eos_token_id", u32, tokenizer.EOS),
        ("tokenizer.ggml.unknown_token_id", u32, tokenizer.UNKNOWN),
        ("tokenizer.ggml.add_bos_token", gguf.BOOL, True),
        ("tokenizer.ggml.add_eos_token", gguf.BOOL, False),
        ("tokenizer.ggml.add_space_prefix", gguf.BOOL, True),
    ], model.gguf_tensors())


def main():
    arguments = parse_arguments()
    os.makedirs(arguments.work, exist_ok=True)
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    log_file = open(os.path.join(arguments.work, "train.log"), "a", encoding="utf-8")

    def log(line):
        print(line, flush=True)
        print(line, file=log_file, flush=True)

    chapters = (corpus.read_package(arguments.deb) if arguments.deb
                else corpus.read_chapters(arguments.root))
    log(f"corpus: {len(chapters)} chapters, {sum(len(t) for _, t in chapters)} characters, "
        f"sha256 {corpus.checksum(chapters)}")
    training, held_out = corpus.split_chapters(chapters)
    processor = tokenizer.train(training, arguments.vocabulary,
                                os.path.join(arguments.work, "tokenizer"))
    windows = make_windows(training, processor, arguments.context + 1)
    tokens = sum(len(processor.encode(text)) for _, text in training)
    log(f"training part: {tokens} tokens, {len(windows)} windows")

    model = Llama(Shape(
        vocabulary=arguments.vocabulary, width=arguments.width, layers=arguments.layers,
        heads=arguments.heads, kv_heads=arguments.kv_heads, hidden=arguments.hidden,
        context=arguments.context))
    count = sum(p.numel() for p in model.parameters())
    log(f"model: {count} parameters, {model.shape}")
    step, seen, seconds = train(model, windows, held_out, processor, arguments, log)
    # What is measured and kept is what the file holds: matrices in F16.
    for parameter in model.parameters():
        if parameter.ndim == 2:
            parameter.data = parameter.data.half().float()
    loss, bits = evaluate(model, held_out, processor)
    log(f"done: {step} steps, {seen} tokens, {seconds / 60:.1f} minutes; "
        f"held out {loss:.4f} nats/token, {bits:.4f} bits/character")
    torch.save(model.state_dict(), os.path.join(arguments.work, "model.pt"))
    with open(os.path.join(arguments.work, "model.json"), "w", encoding="utf-8") as file:
        json.dump(dict(arguments=vars(arguments), shape=vars(model.shape), parameters=count,
                       steps=step, tokens=seen, seconds=seconds,
                       nats_per_token=loss, bits_per_character=bits), file, indent=1)
    export(arguments.output, model, processor)
    log(f"wrote {arguments.output}, {os.path.getsize(arguments.output)} bytes")


if __name__ == "__main__":
    main()
