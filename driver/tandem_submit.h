/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Commands of users by ioctl.
 */
#ifndef _TANDEM_SUBMIT_H
#define _TANDEM_SUBMIT_H

struct drm_device;
struct drm_file;

/* Commands that one SUBMIT can have. */
#define TANDEM_SUBMIT_MAX	1024

int tandem_ioctl_submit(struct drm_device *drm, void *data,
			struct drm_file *filp);

#endif /* _TANDEM_SUBMIT_H */
