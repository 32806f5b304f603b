// SPDX-License-Identifier: MIT
/*
 * Pre-tokenizers: how text falls into pieces that merges do not cross.
 *
 * Each is a list of patterns that the makers of a family of models have set.
 * The first takes the text apart into what matches and what is between; the next
 * does the same with each piece of that, as with a text of its own.
 *
 * The patterns are regular expressions with classes of Unicode, with look-ahead
 * and with alternatives of which the first counts; PCRE2 means the same by all
 * of that and has the tables. But for one thing: its \s holds U+180E, which is no
 * white space since Unicode 6.3, so that the property is named here instead.
 */
#define PCRE2_CODE_UNIT_WIDTH 8

#include <errno.h>
#include <pcre2.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tokenizer_pretokenizer.h"
#include "utf8.h"

#define PATTERNS_MAX	6

#define S		"\\p{White_Space}"
#define NOT_S		"\\P{White_Space}"

#define CONTRACTIONS	"'s|'t|'re|'ve|'m|'ll|'d"

#define GPT2		CONTRACTIONS "| ?\\p{L}+| ?\\p{N}+| ?[^" S "\\p{L}\\p{N}]+|" \
			S "+(?!" NOT_S ")|" S "+"

/* What Llama 3's and its relatives have in common, but for digits. */
#define LETTERS		"(?i:" CONTRACTIONS ")|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+"
#define SPACES		S "*[\\r\\n]+|" S "+(?!" NOT_S ")|" S "+"
#define SYMBOLS		" ?[^" S "\\p{L}\\p{N}]+[\\r\\n]*"

#define UPPER		"[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define LOWER		"[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define WORD_LOWER	"[^\\r\\n\\p{L}\\p{N}]?" UPPER "*" LOWER "+"
#define WORD_UPPER	"[^\\r\\n\\p{L}\\p{N}]?" UPPER "+" LOWER "*"
#define SYMBOLS_SLASH	" ?[^" S "\\p{L}\\p{N}]+[\\r\\n/]*"

/* Letters with case, as of when DeepSeek LLM was made: Unicode has more by now. */
#define CASED \
	"A-Za-z\\x{b5}\\x{c0}-\\x{d6}\\x{d8}-\\x{f6}\\x{f8}-\\x{1ba}\\x{1bc}-\\x{1bf}" \
	"\\x{1c4}-\\x{293}\\x{295}-\\x{2af}\\x{370}-\\x{373}\\x{376}-\\x{377}" \
	"\\x{37b}-\\x{37d}\\x{37f}\\x{386}\\x{388}-\\x{38a}\\x{38c}\\x{38e}-\\x{3a1}" \
	"\\x{3a3}-\\x{3f5}\\x{3f7}-\\x{481}\\x{48a}-\\x{52f}\\x{531}-\\x{556}" \
	"\\x{10a0}-\\x{10c5}\\x{13a0}-\\x{13f5}\\x{13f8}-\\x{13fd}\\x{1c90}-\\x{1cba}" \
	"\\x{1cbd}-\\x{1cbf}\\x{1d00}-\\x{1d2b}\\x{1d6b}-\\x{1d77}\\x{1d79}-\\x{1d9a}" \
	"\\x{1e00}-\\x{1f15}\\x{1f18}-\\x{1f1d}\\x{1f20}-\\x{1f45}\\x{1f48}-\\x{1f4d}" \
	"\\x{1f50}-\\x{1f57}\\x{1f59}\\x{1f5b}\\x{1f5d}\\x{1f5f}-\\x{1f7d}" \
	"\\x{1f80}-\\x{1fb4}\\x{1fb6}-\\x{1fbc}\\x{1fbe}\\x{1fc2}-\\x{1fc4}" \
	"\\x{1fc6}-\\x{1fcc}\\x{1fd0}-\\x{1fd3}\\x{1fd6}-\\x{1fdb}\\x{1fe0}-\\x{1fec}" \
	"\\x{1ff2}-\\x{1ff4}\\x{1ff6}-\\x{1ffc}\\x{2102}\\x{2107}\\x{210a}-\\x{2113}" \
	"\\x{2115}\\x{2119}-\\x{211d}\\x{2124}\\x{2126}\\x{2128}\\x{212a}-\\x{212d}" \
	"\\x{212f}-\\x{2134}\\x{2139}\\x{213c}-\\x{213f}\\x{2145}-\\x{2149}\\x{214e}" \
	"\\x{2183}-\\x{2184}\\x{2c00}-\\x{2c7b}\\x{2c7e}-\\x{2ce4}\\x{2ceb}-\\x{2cee}" \
	"\\x{2cf2}-\\x{2cf3}\\x{a640}-\\x{a66d}\\x{a680}-\\x{a69b}\\x{a722}-\\x{a76f}" \
	"\\x{a771}-\\x{a787}\\x{a78b}-\\x{a78e}\\x{ab70}-\\x{abbf}\\x{fb00}-\\x{fb06}" \
	"\\x{fb13}-\\x{fb17}\\x{ff21}-\\x{ff3a}\\x{ff41}-\\x{ff5a}\\x{10400}-\\x{1044f}" \
	"\\x{104b0}-\\x{104d3}\\x{104d8}-\\x{104fb}\\x{10c80}-\\x{10cb2}" \
	"\\x{10cc0}-\\x{10cf2}\\x{118a0}-\\x{118df}\\x{1e900}-\\x{1e943}"

#define HAN_AND_HANGUL	"[\\x{4e00}-\\x{9fa5}\\x{800}-\\x{4e00}\\x{ac00}-\\x{d7ff}]+"
#define HAN_AND_KANA	"[\\x{4e00}-\\x{9fa5}\\x{3040}-\\x{30ff}]+"
#define ASCII_SYMBOLS	"[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~]"

/* Flags of a family. */
#define IGNORE_MERGES	1
#define ADD_BOS		2

struct family {
	unsigned int flags;
	const char *patterns[PATTERNS_MAX];
};

static const struct family standard = { 0, {
	"[\\p{P}$+<=>^~|]+", GPT2, "\\p{N}+", "[0-9][0-9][0-9]",
} };

static const struct family gpt2 = { 0, { GPT2 } };

static const struct family single_digits = { 0, { "\\p{N}", GPT2 } };

static const struct family falcon = { 0, {
	"[\\p{P}$+<=>^~|`]+", GPT2, "[0-9][0-9][0-9]",
} };

static const struct family llama3 = { IGNORE_MERGES | ADD_BOS, {
	LETTERS "|\\p{N}{1,3}|" SYMBOLS "|" SPACES,
} };

static const struct family llama3_patterns = { 0, {
	LETTERS "|\\p{N}{1,3}|" SYMBOLS "|" SPACES,
} };

static const struct family qwen2 = { 0, { LETTERS "|\\p{N}|" SYMBOLS "|" SPACES } };

static const struct family tekken = { IGNORE_MERGES | ADD_BOS, {
	WORD_LOWER "|" WORD_UPPER "|\\p{N}|" SYMBOLS_SLASH "|" SPACES,
} };

static const struct family gpt4o = { 0, {
	WORD_LOWER "(?i:" CONTRACTIONS ")?|" WORD_UPPER "(?i:" CONTRACTIONS ")?|"
	"\\p{N}{1,3}|" SYMBOLS_SLASH "|" SPACES,
} };

/* The look-behind of S+\z changes nothing but the time that long runs take. */
static const struct family deepseek_llm = { 0, {
	"[\\r\\n]",
	S "?[" CASED "]+",
	S "?[!-/:-~\\x{ff01}-\\x{ff0f}\\x{ff1a}-\\x{ff5e}\\x{2018}-\\x{201f}"
	"\\x{3000}-\\x{3002}]+",
	"(?<!" S ")" S "+\\z",
	HAN_AND_HANGUL,
	"\\p{N}+",
} };

static const struct family deepseek_coder = { 0, {
	"[\\r\\n]", S "?\\p{L}+", S "?\\p{P}+", HAN_AND_HANGUL, "\\p{N}",
} };

static const struct family deepseek_v3 = { 0, {
	"\\p{N}{1,3}",
	HAN_AND_KANA,
	ASCII_SYMBOLS "[A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*|"
	SPACES,
} };

/* Values of tokenizer.ggml.pre. */
static const struct {
	const char *name;
	const struct family *family;
} families[] = {
	{ "default", &standard },
	{ "gpt-2", &gpt2 },
	{ "phi-2", &gpt2 },
	{ "mpt", &gpt2 },
	{ "olmo", &gpt2 },
	{ "smollm", &single_digits },
	{ "starcoder", &single_digits },
	{ "refact", &single_digits },
	{ "command-r", &single_digits },
	{ "codeshell", &single_digits },
	{ "falcon", &falcon },
	{ "llama-bpe", &llama3 },
	{ "llama3", &llama3 },
	{ "llama-v3", &llama3 },
	{ "falcon3", &llama3 },
	{ "dbrx", &llama3_patterns },
	{ "smaug-bpe", &llama3_patterns },
	{ "qwen2", &qwen2 },
	{ "stablelm2", &qwen2 },
	{ "megrez", &qwen2 },
	{ "deepseek-r1-qwen", &qwen2 },
	{ "tekken", &tekken },
	{ "gpt-4o", &gpt4o },
	{ "deepseek-llm", &deepseek_llm },
	{ "deepseek-coder", &deepseek_coder },
	{ "deepseek-v3", &deepseek_v3 },
};

/*
 * @patterns: compiled, @count of them
 * @match: limits of matching
 */
struct tandem_pretokenizer {
	unsigned int flags;
	unsigned int count;
	pcre2_code *patterns[PATTERNS_MAX];
	pcre2_match_context *match;
};

static const struct family *find_family(const char *name, size_t length)
{
	size_t i;

	for (i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
		if (strlen(families[i].name) == length && !memcmp(families[i].name, name, length))
			return families[i].family;
	}
	return NULL;
}

/* The patterns are known to compile: nothing but memory can be short. */
static int compile(struct tandem_pretokenizer *pretokenizer, const struct family *family)
{
	pcre2_code *code;
	PCRE2_SIZE offset;
	int number;

	pretokenizer->match = pcre2_match_context_create(NULL);
	if (!pretokenizer->match)
		return -ENOMEM;
	/* A run of spaces counts once for each byte; none of the patterns explodes. */
	pcre2_set_match_limit(pretokenizer->match, UINT32_MAX);
	while (pretokenizer->count < PATTERNS_MAX && family->patterns[pretokenizer->count]) {
		code = pcre2_compile((PCRE2_SPTR)family->patterns[pretokenizer->count],
				     PCRE2_ZERO_TERMINATED, PCRE2_UTF | PCRE2_UCP, &number,
				     &offset, NULL);
		if (!code)
			return -ENOMEM;
		pretokenizer->patterns[pretokenizer->count++] = code;
		/* Where code cannot be made at run time, patterns are interpreted. */
		pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);
	}
	return 0;
}

int tandem_pretokenizer_create(const char *name, size_t length,
			       struct tandem_pretokenizer **result)
{
	const struct family *family = find_family(name, length);
	struct tandem_pretokenizer *pretokenizer;
	int ret;

	if (!family)
		return -EOPNOTSUPP;
	pretokenizer = calloc(1, sizeof(*pretokenizer));
	if (!pretokenizer)
		return -ENOMEM;
	pretokenizer->flags = family->flags;
	ret = compile(pretokenizer, family);
	if (ret) {
		tandem_pretokenizer_destroy(pretokenizer);
		return ret;
	}
	*result = pretokenizer;
	return 0;
}

void tandem_pretokenizer_destroy(struct tandem_pretokenizer *pretokenizer)
{
	unsigned int i;

	if (!pretokenizer)
		return;
	for (i = 0; i < pretokenizer->count; i++)
		pcre2_code_free(pretokenizer->patterns[i]);
	pcre2_match_context_free(pretokenizer->match);
	free(pretokenizer);
}

bool tandem_pretokenizer_ignores_merges(const struct tandem_pretokenizer *pretokenizer)
{
	return pretokenizer->flags & IGNORE_MERGES;
}

bool tandem_pretokenizer_adds_bos(const struct tandem_pretokenizer *pretokenizer)
{
	return pretokenizer->flags & ADD_BOS;
}

/*
 * A split under way.
 *
 * @subject: the text with each byte that is no part of a character replaced;
 *	where there is none, the text itself
 * @subject_left: bytes of it that have not been taken
 * @text: what of the text has not been taken
 * @replaced: whether the two differ
 * @matches: where each pattern puts what it has found
 */
struct split {
	const struct tandem_pretokenizer *pretokenizer;
	const char *subject;
	size_t subject_bytes;
	char *replaced;
	const char *text;
	size_t left;
	pcre2_match_data *matches[PATTERNS_MAX];
	int (*take)(void *context, const char *piece, size_t length);
	void *context;
};

static size_t count_invalid(const char *text, size_t length)
{
	size_t at = 0, bytes, invalid = 0;

	while (at < length) {
		bytes = tandem_utf8_character(text + at, length - at);
		invalid += !bytes;
		at += bytes ? bytes : 1;
	}
	return invalid;
}

/* At most thrice the length of a text, which is limited: no overflow. */
static int replace_invalid(struct split *split, size_t invalid)
{
	size_t at = 0, bytes;
	char *end;

	split->replaced = malloc(split->left + invalid * (UTF8_REPLACEMENT_BYTES - 1));
	if (!split->replaced)
		return -ENOMEM;
	end = split->replaced;
	while (at < split->left) {
		bytes = tandem_utf8_character(split->text + at, split->left - at);
		memcpy(end, bytes ? split->text + at : UTF8_REPLACEMENT,
		       bytes ? bytes : UTF8_REPLACEMENT_BYTES);
		end += bytes ? bytes : UTF8_REPLACEMENT_BYTES;
		at += bytes ? bytes : 1;
	}
	split->subject = split->replaced;
	split->subject_bytes = end - split->replaced;
	return 0;
}

/* Bytes of the text that @length bytes of the subject stand for. */
static size_t bytes_of_text(const struct split *split, size_t length)
{
	size_t at = 0, bytes;

	if (!split->replaced)
		return length;
	while (length) {
		bytes = tandem_utf8_character(split->text + at, split->left - at);
		length -= bytes ? bytes : UTF8_REPLACEMENT_BYTES;
		at += bytes ? bytes : 1;
	}
	return at;
}

static int take_piece(struct split *split, size_t length)
{
	const char *piece = split->text;

	length = bytes_of_text(split, length);
	split->text += length;
	split->left -= length;
	return split->take(split->context, piece, length);
}

/* The next match at or after @from of a piece, or -errno. */
static int match(const struct split *split, unsigned int pattern, const char *piece,
		 size_t length, size_t from)
{
	const struct tandem_pretokenizer *pretokenizer = split->pretokenizer;
	uint32_t options = PCRE2_NO_UTF_CHECK;
	int ret;

	ret = pcre2_match(pretokenizer->patterns[pattern], (PCRE2_SPTR)piece, length, from,
			  options, split->matches[pattern], pretokenizer->match);
	if (ret == PCRE2_ERROR_JIT_STACKLIMIT)
		ret = pcre2_match(pretokenizer->patterns[pattern], (PCRE2_SPTR)piece, length, from,
				  options | PCRE2_NO_JIT, split->matches[pattern],
				  pretokenizer->match);
	if (ret == PCRE2_ERROR_NOMATCH)
		return -ENOENT;
	/* What is left are limits of memory. */
	return ret < 0 ? -ENOMEM : 0;
}

/* Patterns come in a fixed and small number, which bounds the recursion. */
static int split_piece(struct split *split, unsigned int pattern, const char *piece,
		       size_t length)
{
	size_t at = 0;
	int ret;

	if (!length)
		return 0;
	if (pattern == split->pretokenizer->count)
		return take_piece(split, length);
	while (at < length) {
		size_t start = length, end = length;

		ret = match(split, pattern, piece, length, at);
		if (ret == -ENOMEM)
			return ret;
		if (!ret) {
			const PCRE2_SIZE *place =
				pcre2_get_ovector_pointer(split->matches[pattern]);

			start = place[0];
			end = place[1];
		}
		ret = split_piece(split, pattern + 1, piece + at, start - at);
		if (ret)
			return ret;
		ret = split_piece(split, pattern + 1, piece + start, end - start);
		if (ret)
			return ret;
		at = end;
	}
	return 0;
}

int tandem_pretokenizer_split(const struct tandem_pretokenizer *pretokenizer, const char *text,
			      size_t length,
			      int (*take)(void *context, const char *piece, size_t length),
			      void *context)
{
	struct split split = {
		.pretokenizer = pretokenizer,
		.subject = text,
		.subject_bytes = length,
		.text = text,
		.left = length,
		.take = take,
		.context = context,
	};
	size_t invalid = count_invalid(text, length);
	unsigned int i;
	int ret = -ENOMEM;

	for (i = 0; i < pretokenizer->count; i++) {
		split.matches[i] = pcre2_match_data_create(1, NULL);
		if (!split.matches[i])
			goto out;
	}
	ret = invalid ? replace_invalid(&split, invalid) : 0;
	if (!ret)
		ret = split_piece(&split, 0, split.subject, split.subject_bytes);
out:
	free(split.replaced);
	for (i = 0; i < pretokenizer->count; i++)
		pcre2_match_data_free(split.matches[i]);
	return ret;
}
