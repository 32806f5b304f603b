# SPDX-License-Identifier: MIT
# Sources of libtandem.

runtime-src := \
	runtime/error.c \
	runtime/gguf.c \
	runtime/gguf_parse.c \
	runtime/gguf_value.c \
	runtime/tokenizer.c \
	runtime/tokenizer_byte_level.c \
	runtime/tokenizer_decode.c \
	runtime/tokenizer_encode.c \
	runtime/tokenizer_load.c \
	runtime/tokenizer_load_byte_level.c \
	runtime/tokenizer_merge.c \
	runtime/tokenizer_merge_table.c \
	runtime/tokenizer_pretokenizer.c \
	runtime/tokenizer_spellings.c \
	runtime/tokenizer_vocabulary.c \
	runtime/utf8.c

# The event loop, devices, memory and queues.
runtime-src += \
	runtime/accel_device.c \
	runtime/accel_fence.c \
	runtime/accel_list.c \
	runtime/accel_memory.c \
	runtime/accel_queue.c \
	runtime/device.c \
	runtime/fence.c \
	runtime/file.c \
	runtime/inproc_admin.c \
	runtime/inproc_bus.c \
	runtime/inproc_device.c \
	runtime/inproc_fence.c \
	runtime/inproc_memory.c \
	runtime/inproc_options.c \
	runtime/inproc_queue.c \
	runtime/inproc_store.c \
	runtime/loop.c \
	runtime/loop_busy_poll.c \
	runtime/loop_watch.c \
	runtime/memory.c \
	runtime/operation.c \
	runtime/pieces.c \
	runtime/queue.c \
	runtime/socket.c \
	runtime/version.c

# EFA's queue pairs, where rdma-core's headers know of RDMA write on them.
has-efa := $(shell echo 'int known = EFADV_DEVICE_ATTR_CAPS_RDMA_WRITE;' | $(CC) \
	$$(pkg-config --cflags libefa) $(CFLAGS) -include infiniband/efadv.h \
	-fsyntax-only -x c - 2>/dev/null && echo y)

# The KV pool and transfers.
runtime-src += \
	runtime/connection.c \
	runtime/crc32c.c \
	runtime/kv_append.c \
	runtime/kv_cache.c \
	runtime/kv_file.c \
	runtime/kv_file_format.c \
	runtime/kv_file_slots.c \
	runtime/kv_hash.c \
	runtime/kv_late.c \
	runtime/kv_layout.c \
	runtime/kv_map.c \
	runtime/kv_pool.c \
	runtime/kv_sequence.c \
	runtime/kv_store.c \
	runtime/xfer_auto.c \
	runtime/xfer_auto_choose.c \
	runtime/xfer_auto_part.c \
	runtime/xfer_check.c \
	runtime/xfer_checksum.c \
	runtime/xfer_description.c \
	runtime/xfer_expect.c \
	runtime/xfer_grant.c \
	runtime/xfer_ipc.c \
	runtime/xfer_ipc_copy.c \
	runtime/xfer_ipc_greet.c \
	runtime/xfer_ipc_message.c \
	runtime/xfer_ipc_send.c \
	runtime/xfer_ipc_take.c \
	runtime/xfer_local.c \
	runtime/xfer_note.c \
	runtime/xfer_offer.c \
	runtime/xfer_place.c \
	runtime/xfer_push.c \
	runtime/xfer_receive.c \
	runtime/xfer_record.c \
	runtime/xfer_runs.c \
	runtime/xfer_stop.c \
	runtime/xfer_table.c \
	runtime/xfer_tcp.c \
	runtime/xfer_tcp_frame.c \
	runtime/xfer_tcp_greet.c \
	runtime/xfer_tcp_listen.c \
	runtime/xfer_tcp_reach.c \
	runtime/xfer_tcp_read.c \
	runtime/xfer_tcp_stream.c \
	runtime/xfer_unordered.c \
	runtime/xfer_verify.c \
	runtime/xfer_verbs.c \
	runtime/xfer_verbs_control.c \
	runtime/xfer_verbs_endpoint.c \
	runtime/xfer_verbs_failover.c \
	runtime/xfer_verbs_farewell.c \
	runtime/xfer_verbs_grant.c \
	runtime/xfer_verbs_key.c \
	runtime/xfer_verbs_memory.c \
	runtime/xfer_verbs_message.c \
	runtime/xfer_verbs_note.c \
	runtime/xfer_verbs_port.c \
	runtime/xfer_verbs_rail.c \
	runtime/xfer_verbs_rc.c \
	runtime/xfer_verbs_reach.c \
	runtime/xfer_verbs_receive.c \
	runtime/xfer_verbs_send.c \
	runtime/xfer_verbs_service.c \
	$(if $(has-efa),runtime/xfer_verbs_srd.c,runtime/xfer_verbs_srd_none.c)

# Channels between two processes.
runtime-src += \
	runtime/channel.c \
	runtime/channel_listen.c \
	runtime/channel_tls.c

# Connections over them.
runtime-src += \
	runtime/peer.c \
	runtime/peer_channel.c \
	runtime/peer_message.c \
	runtime/peer_queue.c

# Models, generation and serving.
runtime-src += \
	runtime/generate.c \
	runtime/instance.c \
	runtime/model.c \
	runtime/model_keys.c \
	runtime/model_place.c \
	runtime/model_rope.c \
	runtime/model_shape.c \
	runtime/sampling.c \
	runtime/scheduler.c \
	runtime/scheduler_decode.c \
	runtime/scheduler_prefill.c \
	runtime/scheduler_request.c \
	runtime/scheduler_transfer.c
