/* engine/home_write.c - writes of the disks: operations that may run now, in the order of
 * their places, those that lie side by side in one write.
 */
#include "mirror/engine/state.h"

static bool comes_before(const struct mirror_task_op *a, const struct mirror_task_op *b)
{
	return a->space != b->space ? a->space < b->space : a->start < b->start;
}

/* Empty `issue` into `op`, by place. Few at a time, and often in order already. */
static uint32_t sort(struct mirror_task_op_list *issue, struct mirror_task_op **op)
{
	struct mirror_task_op *next;
	uint32_t count = 0;

	while ((next = mirror_task_op_pop(issue)) != NULL) {
		uint32_t at = count++;

		assert(count <= HOME_OPS_MAX);
		for (; at > 0 && comes_before(next, op[at - 1]); at--)
			op[at] = op[at - 1];
		op[at] = next;
	}
	return count;
}

static bool is_write(const struct mirror_task_op *op)
{
	const struct mirror_record *r = op->owner;

	return r->header.type == MIRROR_RECORD_WRITE;
}

static bool joins(const struct engine_home_op *h, const struct mirror_task_op *op)
{
	return h->io.op == MIRROR_IO_WRITE && is_write(op) && h->io.device == op->space &&
	       h->io.offset_bytes + h->io.length_bytes == op->start &&
	       h->op_count < HOME_MERGE_MAX &&
	       h->io.length_bytes + (op->end - op->start) <= HOME_MERGE_BYTES;
}

static void join(struct engine_home_op *h, struct mirror_task_op *op)
{
	const struct mirror_record *r = op->owner;

	h->op[h->op_count] = op;
	h->iov[h->op_count] = (struct iovec){
		r->data + (op->start - r->header.offset_bytes),
		op->end - op->start,
	};
	h->op_count++;
	h->io.iov_count = h->op_count;
	h->io.length_bytes += op->end - op->start;
}

static struct engine_home_op *begin(struct mirror_engine *m, struct mirror_task_op *op)
{
	struct engine_home_op *h = m->open.home.ops_free;
	const struct mirror_record *r = op->owner;

	assert(h != NULL);
	m->open.home.ops_free = h->next;
	h->io = (struct mirror_io){
		.op = MIRROR_IO_WRITE,
		.device = op->space,
		.offset_bytes = op->start,
		.iov = h->iov,
		.purpose = IO_HOME,
		.owner = h,
	};
	h->op_count = 0;
	if (is_write(op)) {
		join(h, op);
		return h;
	}
	h->op[h->op_count++] = op;
	h->io.op = (r->header.flags & MIRROR_RECORD_MAY_DEALLOCATE) != 0 ?
			   MIRROR_IO_TRIM :
			   MIRROR_IO_ZERO;
	h->io.length_bytes = op->end - op->start;
	h->io.iov = NULL;
	return h;
}

static void submit(struct mirror_engine *m, struct engine_home_op *h)
{
	m->open.home.write_count++;
	m->open.counters.home_writes++;
	mirror_engine_submit(m, &h->io);
}

void mirror_home_write(struct mirror_engine *m, struct mirror_task_op_list *issue)
{
	struct mirror_task_op *op[HOME_OPS_MAX];
	const uint32_t count = sort(issue, op);
	struct engine_home_op *h = NULL;

	for (uint32_t i = 0; i < count; i++) {
		if (h != NULL && joins(h, op[i])) {
			join(h, op[i]);
			continue;
		}
		if (h != NULL)
			submit(m, h);
		h = begin(m, op[i]);
	}
	if (h != NULL)
		submit(m, h);
}
