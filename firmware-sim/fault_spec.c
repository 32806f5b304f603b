// SPDX-License-Identifier: MIT
/* Faults as text. */
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <tandem_hw.h>

#include "fault_spec.h"

#define BIT(number)	(1u << (number))
#define GENERAL		(BIT(FW_FAULT_BOOT) | BIT(FW_FAULT_ENABLE) | BIT(FW_FAULT_DISABLE) | \
			 BIT(FW_FAULT_ADMIN) | BIT(FW_FAULT_COMMAND))
#define LENGTH(array)	(sizeof(array) / sizeof((array)[0]))

static const char *const occasions[] = {
	[FW_FAULT_BOOT] = "boot",
	[FW_FAULT_ENABLE] = "enable",
	[FW_FAULT_DISABLE] = "disable",
	[FW_FAULT_ADMIN] = "admin",
	[FW_FAULT_COMMAND] = "command",
	[FW_FAULT_COMPLETE] = "completion",
	[FW_FAULT_INTERRUPT] = "interrupt",
	[FW_FAULT_IDLE] = "idle",
};

static const char *const untils[] = {
	[FW_FAULT_UNTIL_ABORT] = "abort",
	[FW_FAULT_UNTIL_DISABLE] = "disable",
	[FW_FAULT_UNTIL_EXIT] = "exit",
};

static const char *const spaces[] = {
	[FW_FAULT_MEMORY] = "memory",
	[FW_FAULT_HOST_READ] = "host-read",
	[FW_FAULT_HOST_WRITE] = "host-write",
};

#define REGISTER(text, which, bytes) { text, TANDEM_REG_##which, bytes }

static const struct fw_fault_field registers[] = {
	REGISTER("magic", MAGIC, 4),
	REGISTER("version", VERSION, 4),
	REGISTER("status", STATUS, 4),
	REGISTER("fatal", FATAL, 4),
	REGISTER("memory-size", MEMORY_SIZE, 8),
	REGISTER("queue-max", QUEUE_MAX, 4),
	REGISTER("epoch", EPOCH, 4),
	REGISTER("control", CONTROL, 4),
	{ 0 },
};

#define MEMBER(type, text, member) \
	{ text, offsetof(struct type, member), sizeof(((struct type *)0)->member) }

static const struct fw_fault_field identity[] = {
	MEMBER(tandem_hw_identity, "profile", profile),
	MEMBER(tandem_hw_identity, "firmware-version", firmware_version),
	MEMBER(tandem_hw_identity, "role", role),
	MEMBER(tandem_hw_identity, "copy-queues", copy_queues),
	MEMBER(tandem_hw_identity, "compute-queues", compute_queues),
	MEMBER(tandem_hw_identity, "queue-entries", queue_entries_max),
	MEMBER(tandem_hw_identity, "memory-size", memory_size),
	MEMBER(tandem_hw_identity, "profile-memory-size", profile_memory_size),
	MEMBER(tandem_hw_identity, "profile-memory-bandwidth", profile_memory_bandwidth),
	MEMBER(tandem_hw_identity, "profile-flops", profile_flops),
	MEMBER(tandem_hw_identity, "profile-link-bandwidth", profile_link_bandwidth),
	MEMBER(tandem_hw_identity, "class-count", memory_class_count),
	MEMBER(tandem_hw_identity, "class-start", memory_class[0].start),
	MEMBER(tandem_hw_identity, "class-size", memory_class[0].size),
	MEMBER(tandem_hw_identity, "class-bandwidth", memory_class[0].bandwidth),
	MEMBER(tandem_hw_identity, "class-kind", memory_class[0].kind),
	{ 0 },
};

static const struct fw_fault_field completion[] = {
	MEMBER(tandem_hw_completion, "id", command_id),
	MEMBER(tandem_hw_completion, "queue", queue),
	MEMBER(tandem_hw_completion, "status", status),
	MEMBER(tandem_hw_completion, "phase", phase),
	MEMBER(tandem_hw_completion, "epoch", epoch),
	MEMBER(tandem_hw_completion, "detail", detail),
	MEMBER(tandem_hw_completion, "duration", duration_ns),
	MEMBER(tandem_hw_completion, "modelled", modelled_ns),
	MEMBER(tandem_hw_completion, "ended", ended_ns),
	MEMBER(tandem_hw_completion, "reserved", reserved),
	{ 0 },
};

/**
 * struct kind - what there is to know of a kind
 * @name: for the user
 * @on: occasion when the user names none
 * @allowed: bits of the occasions that make sense
 * @fields: members to choose from, or NULL
 * @help: for the user
 */
struct kind {
	const char *name;
	enum fw_fault_occasion on;
	uint32_t allowed;
	const struct fw_fault_field *fields;
	const char *help;
};

static const struct kind kinds[] = {
	[FW_FAULT_HANG] = {
		"hang", FW_FAULT_COMMAND, BIT(FW_FAULT_COMMAND), NULL,
		"a command does not end; until=abort, disable or exit",
	},
	[FW_FAULT_CRASH] = {
		"crash", FW_FAULT_COMMAND, GENERAL, NULL, "the process aborts",
	},
	[FW_FAULT_HEARTBEAT] = {
		"heartbeat", FW_FAULT_COMMAND, GENERAL, NULL,
		"the heartbeat stops, until the device is enabled anew",
	},
	[FW_FAULT_FATAL] = {
		"fatal", FW_FAULT_COMMAND, GENERAL, NULL,
		"the device goes to the state FATAL; value=REASON",
	},
	[FW_FAULT_STUCK] = {
		"stuck", FW_FAULT_ENABLE, GENERAL, NULL,
		"the device ignores the driver's changes of its state for good",
	},
	[FW_FAULT_LATE] = {
		"late", FW_FAULT_ADMIN, GENERAL, NULL, "nothing happens for ms=N (1000)",
	},
	[FW_FAULT_STORM] = {
		"storm", FW_FAULT_COMMAND, GENERAL, NULL,
		"value=N interrupts (10000) that mean nothing",
	},
	[FW_FAULT_REGISTER] = {
		"register", FW_FAULT_BOOT, GENERAL, registers, "a register is wrong",
	},
	[FW_FAULT_REFUSE] = {
		"refuse", FW_FAULT_ADMIN, BIT(FW_FAULT_ADMIN), NULL,
		"an admin command is refused; value=STATUS",
	},
	[FW_FAULT_SILENT] = {
		"silent", FW_FAULT_ADMIN, BIT(FW_FAULT_ADMIN), NULL,
		"an admin command is not answered",
	},
	[FW_FAULT_IDENTITY] = {
		"identity", FW_FAULT_ADMIN, BIT(FW_FAULT_ADMIN), identity,
		"IDENTIFY tells something wrong",
	},
	[FW_FAULT_DMA] = {
		"dma", FW_FAULT_COMMAND, BIT(FW_FAULT_COMMAND), NULL,
		"instead of its work a command touches space=memory, host-read or "
		"host-write from address=A (0) for length=L (all of memory, or a page), and "
		"succeeds when something answers, with value=N, when that 64-bit word is found",
	},
	[FW_FAULT_SCRIBBLE] = {
		"scribble", FW_FAULT_COMMAND, BIT(FW_FAULT_COMMAND), NULL,
		"a COPY or FILL does not end, and all the time writes to where its destination "
		"was when it began; until=abort, disable or exit",
	},
	[FW_FAULT_COMPLETION] = {
		"completion", FW_FAULT_COMPLETE, BIT(FW_FAULT_COMPLETE), completion,
		"a completion is wrong; add=N adds to the field, with extra=1 the right "
		"completion follows",
	},
	[FW_FAULT_REPLAY] = {
		"replay", FW_FAULT_COMPLETE, BIT(FW_FAULT_COMPLETE), NULL,
		"the completion before this one, or value=N ahead of it, comes again",
	},
	[FW_FAULT_DUPLICATE] = {
		"duplicate", FW_FAULT_COMPLETE, BIT(FW_FAULT_COMPLETE), NULL,
		"a completion comes twice",
	},
	[FW_FAULT_LOST_COMPLETION] = {
		"lost-completion", FW_FAULT_COMPLETE, BIT(FW_FAULT_COMPLETE), NULL,
		"a command is done, but does not complete",
	},
	[FW_FAULT_LOST_INTERRUPT] = {
		"lost-interrupt", FW_FAULT_INTERRUPT, BIT(FW_FAULT_INTERRUPT), NULL,
		"an interrupt does not come",
	},
	[FW_FAULT_ARMED] = {
		"armed", FW_FAULT_IDLE, BIT(FW_FAULT_IDLE), NULL,
		"a doorbell's armed has another value; value=N",
	},
};

/**
 * struct reason - where the reason of a failure goes
 * @text: to here
 * @size: bytes
 */
struct reason {
	char *text;
	size_t size;
};

__attribute__((format(printf, 2, 3)))
static int refuse(const struct reason *reason, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(reason->text, reason->size, format, arguments);
	va_end(arguments);
	return -EINVAL;
}

static int find(const char *const *names, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (!strcmp(names[i], name))
			return (int)i;
	return -1;
}

static const struct kind *find_kind(const char *name)
{
	for (size_t i = 0; i < LENGTH(kinds); i++)
		if (!strcmp(kinds[i].name, name))
			return &kinds[i];
	return NULL;
}

static const struct fw_fault_field *find_field(const struct kind *kind, const char *name)
{
	const struct fw_fault_field *field;

	for (field = kind->fields; field && field->name; field++)
		if (!strcmp(field->name, name))
			return field;
	return NULL;
}

/* Numbers may be negative, hexadecimal or octal; as 64 bits. */
static bool parse_number(const char *text, uint64_t *number)
{
	char *end;

	errno = 0;
	*number = strtoull(text, &end, 0);
	return !errno && end != text && !*end && !isspace((unsigned char)*text);
}

/* Arguments whose values are names. Return: 1 for one of these, 0, or -EINVAL. */
static int take_name(struct fw_fault_spec *spec, const struct kind *kind, const char *name,
		     const char *value, const struct reason *reason)
{
	int found;

	if (!strcmp(name, "on")) {
		found = find(occasions, LENGTH(occasions), value);
		if (found < 0 || !(kind->allowed & BIT(found)))
			return refuse(reason, "%s: 'on=%.20s' is not an occasion for it",
				      kind->name, value);
		spec->on = found;
	} else if (!strcmp(name, "field")) {
		spec->field = find_field(kind, value);
		if (!spec->field)
			return refuse(reason, "%s: has no field '%.32s'", kind->name, value);
	} else if (!strcmp(name, "until") &&
		   (spec->kind == FW_FAULT_HANG || spec->kind == FW_FAULT_SCRIBBLE)) {
		found = find(untils, LENGTH(untils), value);
		if (found < 0)
			return refuse(reason, "%s: until=abort, disable or exit", kind->name);
		spec->until = found;
	} else if (!strcmp(name, "space") && spec->kind == FW_FAULT_DMA) {
		found = find(spaces, LENGTH(spaces), value);
		if (found < 0)
			return refuse(reason, "dma: space=memory, host-read or host-write");
		spec->space = found;
	} else {
		return 0;
	}
	return 1;
}

static int take_number(struct fw_fault_spec *spec, const char *name, uint64_t number)
{
	if (!strcmp(name, "at")) {
		spec->at = number;
	} else if (!strcmp(name, "count")) {
		spec->count = number;
	} else if (!strcmp(name, "permille") && number <= 1000) {
		spec->permille = (uint32_t)number;
	} else if (!strcmp(name, "seed")) {
		spec->seed = number;
	} else if (!strcmp(name, "queue") && number <= TANDEM_HW_QUEUES_MAX) {
		spec->queue = (int)number;
	} else if (!strcmp(name, "opcode") && number <= UINT8_MAX) {
		spec->opcode = (int)number;
	} else if (!strcmp(name, "value")) {
		spec->value = number;
		spec->has_value = true;
	} else if (!strcmp(name, "add") && spec->kind == FW_FAULT_COMPLETION) {
		spec->add = number;
	} else if (!strcmp(name, "extra") && spec->kind == FW_FAULT_COMPLETION) {
		spec->extra = number;
	} else if (!strcmp(name, "address") && spec->kind == FW_FAULT_DMA) {
		spec->address = number;
	} else if (!strcmp(name, "length") && spec->kind == FW_FAULT_DMA) {
		spec->length = number;
	} else if (!strcmp(name, "ms") && spec->kind == FW_FAULT_LATE && number <= INT32_MAX) {
		spec->ms = (uint32_t)number;
	} else {
		return -EINVAL;
	}
	return 0;
}

static int take(struct fw_fault_spec *spec, const struct kind *kind, char *argument,
		const struct reason *reason)
{
	char *value = strchr(argument, '=');
	uint64_t number;
	int ret;

	if (!value)
		return refuse(reason, "%s: '%.32s' has no value", kind->name, argument);
	*value++ = '\0';
	ret = take_name(spec, kind, argument, value, reason);
	if (ret)
		return ret < 0 ? ret : 0;
	if (!parse_number(value, &number))
		return refuse(reason, "%s: '%.20s=%.20s' has no number", kind->name, argument,
			      value);
	if (take_number(spec, argument, number))
		return refuse(reason, "%s: '%.20s=%.20s' is not for it, or out of range",
			      kind->name, argument, value);
	return 0;
}

int fw_fault_spec_parse(const char *text, struct fw_fault_spec *spec, char *error,
			size_t size)
{
	const struct reason reason = { .text = error, .size = size };
	char copy[256], *arguments, *argument;
	const struct kind *kind;
	int ret;

	if (strlen(text) >= sizeof(copy))
		return refuse(&reason, "fault '%.32s...' is too long", text);
	memcpy(copy, text, strlen(text) + 1);
	arguments = strchr(copy, ':');
	if (arguments)
		*arguments++ = '\0';
	kind = find_kind(copy);
	if (!kind)
		return refuse(&reason, "fault '%.32s' is unknown; --help shows the choice",
			      copy);
	*spec = (struct fw_fault_spec){
		.kind = (enum fw_fault_kind)(kind - kinds),
		.on = kind->on,
		.at = 1,
		.count = 1,
		.permille = 1000,
		.seed = 1,
		.queue = -1,
		.opcode = kind == &kinds[FW_FAULT_IDENTITY] ? TANDEM_HW_OP_IDENTIFY : -1,
		.ms = 1000,
	};
	while ((argument = strsep(&arguments, ","))) {
		ret = take(spec, kind, argument, &reason);
		if (ret)
			return ret;
	}
	if (kind->fields && !spec->field)
		return refuse(&reason, "%s: field=NAME is missing", kind->name);
	if (!spec->at)
		return refuse(&reason, "%s: at=N counts from 1", kind->name);
	return 0;
}

void fw_fault_spec_help(FILE *to)
{
	const struct fw_fault_field *field;

	fprintf(to, "--fault KIND[:NAME=VALUE[,NAME=VALUE]...], where every kind takes at=N: the "
		    "first time on occasion number N (1), count=N: so many times (1; 0 for "
		    "always), permille=P and seed=S: each time with this likelihood, on=OCCASION: "
		    "boot, enable, disable, admin or command where that makes sense, queue=N and "
		    "opcode=N: only there. Kinds, with their occasions:\n\n");
	for (size_t i = 0; i < LENGTH(kinds); i++) {
		fprintf(to, "  %s (%s): %s", kinds[i].name, occasions[kinds[i].on],
			kinds[i].help);
		if (kinds[i].fields)
			fprintf(to, "; value=N or all bits inverted; field=");
		for (field = kinds[i].fields; field && field->name; field++)
			fprintf(to, "%s%s", field->name, field[1].name ? ", " : "");
		fprintf(to, "\n");
	}
}
