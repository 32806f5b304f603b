/* SPDX-License-Identifier: MIT */
/*
 * What went wrong, in words.
 */
#ifndef TANDEM_ERROR_H
#define TANDEM_ERROR_H

#ifdef __cplusplus
extern "C" {
#endif

#define TANDEM_ERROR_MESSAGE_SIZE	256

/**
 * struct tandem_error - why a call failed
 * @code: what the call returned, a negative errno; 0 if nothing has failed
 * @message: one line of UTF-8 without a newline, that names the object, what
 *	is wrong with it and what can be done; always terminated
 *
 * The caller owns it, and may zero it to begin with. Calls write to it when
 * they fail and leave it alone when they succeed.
 */
struct tandem_error {
	int code;
	char message[TANDEM_ERROR_MESSAGE_SIZE];
};

#ifdef __cplusplus
}
#endif

#endif /* TANDEM_ERROR_H */
