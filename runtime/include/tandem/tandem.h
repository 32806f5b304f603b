/* SPDX-License-Identifier: MIT */
/*
 * libtandem: split LLM inference across accelerators. Everything in one include.
 */
#ifndef TANDEM_TANDEM_H
#define TANDEM_TANDEM_H

#include <tandem/channel.h>
#include <tandem/device.h>
#include <tandem/error.h>
#include <tandem/fence.h>
#include <tandem/file.h>
#include <tandem/generate.h>
#include <tandem/kv.h>
#include <tandem/kv_file.h>
#include <tandem/loop.h>
#include <tandem/model.h>
#include <tandem/peer.h>
#include <tandem/sampling.h>
#include <tandem/serve.h>
#include <tandem/tokenizer.h>
#include <tandem/version.h>
#include <tandem/xfer.h>

#endif /* TANDEM_TANDEM_H */
