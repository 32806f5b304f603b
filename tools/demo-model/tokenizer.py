# SPDX-License-Identifier: MIT
"""The tokenizer: SentencePiece BPE with byte fallback, as `llama` files use."""

import os

import sentencepiece

UNKNOWN, BOS, EOS = 0, 1, 2


def train(chapters, size, prefix):
    """Train on the chapters' text, leave PREFIX.model, return a processor."""
    text = prefix + ".txt"
    with open(text, "w", encoding="ascii") as file:
        file.writelines(chapter + "\n" for _, chapter in chapters)
    sentencepiece.SentencePieceTrainer.Train(
        input=text, model_prefix=prefix, model_type="bpe", vocab_size=size,
        character_coverage=1.0, byte_fallback=True, split_digits=True,
        normalization_rule_name="identity", add_dummy_prefix=True,
        remove_extra_whitespaces=False, max_sentence_length=1 << 20,
        unk_id=UNKNOWN, bos_id=BOS, eos_id=EOS, pad_id=-1, num_threads=1,
        minloglevel=1)
    os.remove(text)
    return sentencepiece.SentencePieceProcessor(model_file=prefix + ".model")


def gguf_vocabulary(processor):
    """Return (pieces, scores, types) in the meaning of tokenizer.ggml.*."""
    pieces, scores, types = [], [], []
    for token in range(processor.get_piece_size()):
        pieces.append(processor.id_to_piece(token))
        scores.append(processor.get_score(token))
        if processor.is_unknown(token):
            types.append(2)
        elif processor.is_control(token):
            types.append(3)
        elif processor.is_byte(token):
            types.append(6)
        else:
            types.append(1)
    return pieces, scores, types
