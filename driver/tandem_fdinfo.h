/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What /proc/PID/fdinfo/FD says of an open file; see drm-usage-stats.rst.
 */
#ifndef _TANDEM_FDINFO_H
#define _TANDEM_FDINFO_H

struct drm_file;
struct drm_printer;

/* For &drm_driver.show_fdinfo. */
void tandem_fdinfo_show(struct drm_printer *p, struct drm_file *filp);

#endif /* _TANDEM_FDINFO_H */
