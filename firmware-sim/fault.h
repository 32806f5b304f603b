/* SPDX-License-Identifier: MIT */
/*
 * A device that does wrong, for tests of drivers.
 *
 * Each hook is called where the thing in question happens, and costs a test of
 * a pointer in a device that was asked for no fault.
 */
#ifndef TANDEM_FIRMWARE_FAULT_H
#define TANDEM_FIRMWARE_FAULT_H

#include <stdbool.h>
#include <stdint.h>

#include <tandem_hw.h>

#include "device.h"
#include "fault_spec.h"

/**
 * fw_faults_create() - read what is asked for
 * @specs: texts as fw_fault_spec_parse() takes them, the last followed by NULL;
 *	may be NULL
 * @faults: NULL if nothing is asked for
 * @error: %TANDEM_FW_ERROR_BYTES for the reason of a failure
 *
 * Return: 0, -EINVAL or -ENOMEM.
 */
int fw_faults_create(const char *const *specs, struct fw_faults **faults, char *error);
void fw_faults_destroy(struct fw_faults *faults);

/* What fault.c does in a device that was asked for faults. */
void fw_fault_do_state(struct tandem_fw *fw, enum fw_fault_occasion on);
bool fw_fault_do_heart(struct tandem_fw *fw);
bool fw_fault_do_stuck(struct tandem_fw *fw);
bool fw_fault_do_admin(struct tandem_fw *fw, const struct tandem_hw_descriptor *descriptor,
		       bool *answer, uint32_t *status);
bool fw_fault_do_command(struct fw_queue *queue, const struct tandem_hw_descriptor *descriptor,
			 struct fw_result *result);
int fw_fault_do_post(struct tandem_fw *fw, struct fw_ring *ring,
		     struct tandem_hw_completion *completion);
bool fw_fault_do_interrupt(struct tandem_fw *fw, uint32_t vector);
uint32_t fw_fault_do_armed(struct tandem_fw *fw, uint32_t queue);
void fw_fault_do_identity(struct tandem_fw *fw, struct tandem_hw_identity *identity);

static inline bool fw_has_faults(const struct tandem_fw *fw)
{
	return __builtin_expect(fw->faults != NULL, 0);
}

/* The device boots, is enabled or is disabled; on the control thread. */
static inline void fw_fault_state(struct tandem_fw *fw, enum fw_fault_occasion on)
{
	if (fw_has_faults(fw))
		fw_fault_do_state(fw, on);
}

/* Has the heart stopped? */
static inline bool fw_fault_heart(struct tandem_fw *fw)
{
	return fw_has_faults(fw) && fw_fault_do_heart(fw);
}

/* Is the device deaf to CONTROL? */
static inline bool fw_fault_stuck(struct tandem_fw *fw)
{
	return fw_has_faults(fw) && fw_fault_do_stuck(fw);
}

/*
 * An admin command is taken up. Return: whether it is not to be carried out as
 * usual; then @status is its end. Without @answer it never completes.
 */
static inline bool fw_fault_admin(struct tandem_fw *fw,
				  const struct tandem_hw_descriptor *descriptor, bool *answer,
				  uint32_t *status)
{
	return fw_has_faults(fw) && fw_fault_do_admin(fw, descriptor, answer, status);
}

/* A command is taken up. Return: whether @result is its end already. */
static inline bool fw_fault_command(struct fw_queue *queue, struct tandem_fw *fw,
				    const struct tandem_hw_descriptor *descriptor,
				    struct fw_result *result)
{
	return fw_has_faults(fw) && fw_fault_do_command(queue, descriptor, result);
}

/* Is this interrupt to be lost? */
static inline bool fw_fault_interrupt(struct tandem_fw *fw, uint32_t vector)
{
	return fw_has_faults(fw) && fw_fault_do_interrupt(fw, vector);
}

/* What a doorbell's armed is set to before the queue sleeps. */
static inline uint32_t fw_fault_armed(struct tandem_fw *fw, uint32_t queue)
{
	return fw_has_faults(fw) ? fw_fault_do_armed(fw, queue) : 1;
}

/* The identity is about to be told. */
static inline void fw_fault_identity(struct tandem_fw *fw,
				     struct tandem_hw_identity *identity)
{
	if (fw_has_faults(fw))
		fw_fault_do_identity(fw, identity);
}

#endif /* TANDEM_FIRMWARE_FAULT_H */
