/* SPDX-License-Identifier: MIT */
/*
 * What io_uring itself does with IOSQE_IO_DRAIN.
 *
 * Older kernels, 6.12 among them, begin a drained request when the number of
 * completions equals the number of requests that came before it. Requests that
 * come later wait too, but for those that are refused as malformed: they are
 * completed at once. When two completions of that sort are posted together, the
 * number may be stepped over. Then the drained request, and with it all that
 * come later, is never begun.
 */
#ifndef FUZZ_DRAIN_H
#define FUZZ_DRAIN_H

#include <stdbool.h>

/*
 * Tries that, with polls and NOPs only: does this kernel forget drained requests
 * when later ones are malformed? It takes a second where it does.
 */
bool fuzz_drain_is_forgotten(void);

#endif /* FUZZ_DRAIN_H */
