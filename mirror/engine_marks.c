/* engine_marks.c - the only writer of the sequence marks: see engine_marks.h. */
#include "mirror/engine_marks.h"

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

void mirror_marks_begin(struct engine_marks *marks, uint64_t sequence)
{
	marks->last = sequence;
	marks->home_flushed = sequence;
}

void mirror_marks_found(struct engine_marks *marks, const struct mirror_header *h)
{
	raise(&marks->disk[h->disk], h->disk_sequence);
}

void mirror_marks_recovered(struct engine_marks *marks)
{
	marks->next_to_log = marks->last + 1;
	marks->logged = marks->last;
	marks->durable = marks->last;
	marks->home = marks->home_flushed;
}

void mirror_marks_append(struct engine_marks *marks, const struct mirror_header *h)
{
	assert(h->sequence == marks->last + 1);
	marks->last = h->sequence;
	marks->generation = h->generation;
	marks->group = h->group;
	marks->time_ns = h->time_ns;
	if (h->type != MIRROR_RECORD_FLUSH)
		marks->disk[h->disk] = h->disk_sequence;
}

void mirror_marks_logging(struct engine_marks *marks, uint64_t next)
{
	assert(next <= marks->last + 1);
	marks->next_to_log = next;
}

void mirror_marks_logged(struct engine_marks *marks, uint64_t sequence)
{
	assert(sequence < marks->next_to_log);
	marks->logged = sequence;
}

void mirror_marks_flushed(struct engine_marks *marks, uint64_t durable, uint64_t proven)
{
	raise(&marks->durable, durable);
	raise(&marks->proven, proven);
}

void mirror_marks_proved(struct engine_marks *marks, uint64_t sequence)
{
	raise(&marks->proven, sequence);
}

void mirror_marks_home(struct engine_marks *marks)
{
	marks->home++;
}

void mirror_marks_home_flushed(struct engine_marks *marks)
{
	marks->home_flushed++;
}

void mirror_marks_unplaced(struct engine_marks *marks, const struct mirror_header *h)
{
	if (h->type != MIRROR_RECORD_FLUSH && marks->disk[h->disk] >= h->disk_sequence)
		marks->disk[h->disk] = h->disk_sequence - 1;
}

void mirror_marks_drop(struct engine_marks *marks)
{
	assert(marks->last > marks->home_flushed);
	marks->last--;
}

void mirror_marks_any_generation(struct engine_marks *marks)
{
	marks->generation = 0;
	marks->group = 0;
}

void mirror_marks_cut(struct engine_marks *marks)
{
	marks->next_to_log = marks->last + 1;
	lower(&marks->logged, marks->last);
	lower(&marks->durable, marks->last);
	lower(&marks->home, marks->last);
}

void mirror_marks_restart(struct engine_marks *marks, uint64_t sequence)
{
	marks->last = sequence;
	marks->next_to_log = sequence + 1;
	marks->logged = sequence;
	lower(&marks->durable, sequence);
	lower(&marks->proven, sequence);
	lower(&marks->home_flushed, sequence);
	marks->home = marks->home_flushed;
}

void mirror_marks_leap(struct engine_marks *marks, uint64_t sequence)
{
	marks->durable = sequence;
	marks->home_flushed = sequence;
	mirror_marks_restart(marks, sequence);
}
