/* sum.c - one sum over all actions of the engines, with the data that they write and send. A
 * transcript ends with it, so that two equal transcripts mean two equal runs.
 */
#include <stdio.h>

#include "common/crc.h"
#include "tests/sim/sim.h"

static void add(struct sim *w, const void *data, size_t bytes)
{
	w->sum = common_crc32c(w->sum, data, bytes);
}

static void add_io(struct sim *w, const struct mirror_io *io)
{
	const uint64_t what[] = { io->op, io->device, io->offset_bytes,
				  io->length_bytes };

	add(w, what, sizeof what);
	if (io->op == MIRROR_IO_WRITE)
		for (uint32_t i = 0; i < io->iov_count; i++)
			add(w, io->iov[i].iov_base, io->iov[i].iov_len);
}

static void add_frame(struct sim *w, const struct mirror_frame *f)
{
	add(w, &f->link, sizeof f->link);
	add(w, f->head, f->head_bytes);
	if (f->data_bytes > 0)
		add(w, f->data, f->data_bytes);
}

void sim_sum(struct sim *w, uint32_t node, const struct mirror_actions *out)
{
	const uint64_t what[] = { node,
				  w->now_ns,
				  out->site,
				  out->open_devices,
				  out->close_devices,
				  out->clients,
				  out->link_order_count,
				  out->fact_count,
				  out->wake_at_ns };

	w->count.steps_mirror++;
	if (!w->trace)
		return;
	add(w, what, sizeof what);
	for (const struct mirror_io *io = out->io.head; io != NULL; io = io->next)
		add_io(w, io);
	for (const struct mirror_frame *f = out->send.head; f != NULL; f = f->next)
		add_frame(w, f);
	for (const struct mirror_request *q = out->answer.head; q != NULL; q = q->next) {
		const int64_t answer[] = { q->type, q->result, (int64_t)q->sequence };

		add(w, answer, sizeof answer);
	}
}

void sim_sum_tell(struct sim *w)
{
	sim_trace(w, "%llu steps of the engines, and their sum is %08x",
		  (unsigned long long)w->count.steps_mirror, w->sum);
}
