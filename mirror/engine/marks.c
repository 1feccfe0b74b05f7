/* engine/marks.c - the only writer of the sequence marks: see engine/marks.h. */
#include "mirror/engine/state.h"

static struct engine_marks *change(struct mirror_engine *m)
{
	mirror_engine_changed(m);
	return &m->open.marks;
}

static void lower(uint64_t *mark, uint64_t to)
{
	if (*mark > to)
		*mark = to;
}

static void raise(uint64_t *mark, uint64_t to)
{
	if (*mark < to)
		*mark = to;
}

void mirror_marks_begin(struct mirror_engine *m, uint64_t sequence)
{
	struct engine_marks *marks = change(m);

	marks->last = sequence;
	marks->home_flushed = sequence;
}

void mirror_marks_found(struct mirror_engine *m, const struct mirror_header *h)
{
	raise(&m->open.marks.disk[h->disk], h->disk_sequence);
}

void mirror_marks_recovered(struct mirror_engine *m)
{
	struct engine_marks *marks = change(m);

	marks->next_to_log = marks->last + 1;
	marks->logged = marks->last;
	marks->durable = marks->last;
	marks->home = marks->home_flushed;
}

void mirror_marks_append(struct mirror_engine *m, const struct mirror_header *h)
{
	struct engine_marks *marks = change(m);

	assert(h->sequence == marks->last + 1);
	marks->last = h->sequence;
	marks->generation = h->generation;
	marks->group = h->group;
	marks->time_ns = h->time_ns;
	if (h->type != MIRROR_RECORD_FLUSH)
		marks->disk[h->disk] = h->disk_sequence;
}

void mirror_marks_logging(struct mirror_engine *m, uint64_t next)
{
	struct engine_marks *marks = change(m);

	assert(next <= marks->last + 1);
	marks->next_to_log = next;
}

void mirror_marks_logged(struct mirror_engine *m, uint64_t sequence)
{
	struct engine_marks *marks = &m->open.marks;

	assert(sequence < marks->next_to_log);
	marks->logged = sequence;
}

void mirror_marks_flushed(struct mirror_engine *m, uint64_t durable, uint64_t proven)
{
	raise(&m->open.marks.durable, durable);
	raise(&m->open.marks.proven, proven);
}

void mirror_marks_proved(struct mirror_engine *m, uint64_t sequence)
{
	raise(&m->open.marks.proven, sequence);
}

void mirror_marks_home(struct mirror_engine *m)
{
	change(m)->home++;
}

void mirror_marks_home_flushed(struct mirror_engine *m)
{
	change(m)->home_flushed++;
}

void mirror_marks_unplaced(struct mirror_engine *m, const struct mirror_header *h)
{
	struct engine_marks *marks = &m->open.marks;

	if (h->type != MIRROR_RECORD_FLUSH && marks->disk[h->disk] >= h->disk_sequence)
		marks->disk[h->disk] = h->disk_sequence - 1;
}

void mirror_marks_drop(struct mirror_engine *m)
{
	struct engine_marks *marks = change(m);

	assert(marks->last > marks->home_flushed);
	marks->last--;
}

void mirror_marks_any_generation(struct mirror_engine *m)
{
	struct engine_marks *marks = &m->open.marks;

	marks->generation = 0;
	marks->group = 0;
}

void mirror_marks_cut(struct mirror_engine *m)
{
	struct engine_marks *marks = change(m);

	marks->next_to_log = marks->last + 1;
	lower(&marks->logged, marks->last);
	lower(&marks->durable, marks->last);
	lower(&marks->home, marks->last);
}

void mirror_marks_restart(struct mirror_engine *m, uint64_t sequence)
{
	struct engine_marks *marks = change(m);

	marks->last = sequence;
	marks->next_to_log = sequence + 1;
	marks->logged = sequence;
	lower(&marks->durable, sequence);
	lower(&marks->proven, sequence);
	lower(&marks->home_flushed, sequence);
	marks->home = marks->home_flushed;
}

void mirror_marks_leap(struct mirror_engine *m, uint64_t sequence)
{
	struct engine_marks *marks = change(m);

	marks->durable = sequence;
	marks->home_flushed = sequence;
	mirror_marks_restart(m, sequence);
}

/* ---- told ---- */

void mirror_marks_tell(struct mirror_engine *m)
{
	m->open.told.due_ns = 0;
}

void mirror_marks_pump(struct mirror_engine *m)
{
	const struct generation *g = history_newest(&m->open.sb.history);
	struct engine_told *told = &m->open.told;
	const bool news = g != NULL && !uuid_equal(&g->id, &told->newest);
	struct fact *f;

	if (m->state < ENGINE_IDLE || m->state == ENGINE_CLOSING ||
	    (!news && told->marks.logged == m->open.marks.logged &&
	     told->marks.durable == m->open.marks.durable &&
	     told->marks.home == m->open.marks.home_flushed))
		return;
	if (!news && m->now_ns < told->due_ns) {
		mirror_engine_wake(m, told->due_ns);
		return;
	}
	told->due_ns = m->now_ns + 200 * NS_PER_MS;
	told->marks = (struct site_marks){ m->open.marks.logged, m->open.marks.durable,
					   m->open.marks.home_flushed };
	f = mirror_engine_fact(m, FACT_MARKS);
	f->marks = told->marks;
	if (!news)
		return;
	told->newest = g->id;
	f->history = m->open.sb.history;
}
