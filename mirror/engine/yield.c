/* yield.c - see yield.h. */
#include "mirror/engine/yield.h"

#define COUNT_KNOWN 64u     /* so many answers, and the usual latency is known */
#define LIMIT_MIN_NS 500000ull /* less is no harm: a turn of the loop takes as long */
#define LEARN_SHIFT 6u      /* an answer counts for a 64th ... */
#define LEARN_SLOWLY_SHIFT 10u
#define GROW_SHIFT 9u

void mirror_yield_init(struct mirror_yield *y)
{
	*y = (struct mirror_yield){ .window_bytes = MIRROR_YIELD_BYTES_MIN };
}

void mirror_yield_asked(struct mirror_yield *y, uint64_t now_ns)
{
	y->client_ns = now_ns;
}

/* As the mean of TCP's round trips is taken. */
static void learn(struct mirror_yield_usual *u, uint64_t took_ns, uint32_t shift)
{
	const int64_t error = (int64_t)took_ns - (int64_t)u->mean_ns;
	const int64_t part = (int64_t)1 << shift;

	if (u->count < COUNT_KNOWN)
		u->count++;
	if (u->count == 1) {
		u->mean_ns = took_ns;
		u->deviation_ns = took_ns / 2;
		return;
	}
	u->mean_ns = (uint64_t)((int64_t)u->mean_ns + error / part);
	u->deviation_ns = (uint64_t)((int64_t)u->deviation_ns +
				     ((error < 0 ? -error : error) -
				      (int64_t)u->deviation_ns) /
					     part);
}

uint64_t mirror_yield_limit_ns(const struct mirror_yield *y, enum mirror_yield_kind kind)
{
	const struct mirror_yield_usual *u = &y->usual[kind];
	const uint64_t limit_ns = 2 * (u->mean_ns + 4 * u->deviation_ns);

	if (u->count < COUNT_KNOWN)
		return UINT64_MAX;
	return limit_ns > LIMIT_MIN_NS ? limit_ns : LIMIT_MIN_NS;
}

static bool is_within(uint64_t now_ns, uint64_t since_ns, uint64_t ns)
{
	return since_ns != 0 && now_ns < since_ns + ns;
}

/* Requests that were late together count once: one cause, and the window can do nothing
 * about those that were behind it already. */
static void halve(struct mirror_yield *y, uint64_t now_ns, uint64_t limit_ns)
{
	if (is_within(now_ns, y->halved_ns, limit_ns))
		return;
	y->halved_ns = now_ns;
	y->window_bytes /= 2;
	if (y->window_bytes < MIRROR_YIELD_BYTES_MIN)
		y->window_bytes = MIRROR_YIELD_BYTES_MIN;
}

void mirror_yield_answered(struct mirror_yield *y, enum mirror_yield_kind kind,
			   uint64_t took_ns, uint64_t now_ns)
{
	const uint64_t limit_ns = mirror_yield_limit_ns(y, kind);
	struct mirror_yield_usual *u = &y->usual[kind];

	y->client_ns = now_ns;
	if (!is_within(now_ns, y->begun_ns, MIRROR_YIELD_IDLE_NS)) {
		learn(u, took_ns, LEARN_SHIFT);
		return;
	}
	if (limit_ns == UINT64_MAX)
		learn(u, took_ns, LEARN_SHIFT);
	else if (y->window_bytes == MIRROR_YIELD_BYTES_MIN)
		learn(u, took_ns, LEARN_SLOWLY_SHIFT);
	if (took_ns > limit_ns)
		halve(y, now_ns, limit_ns);
	else if (limit_ns != UINT64_MAX)
		y->window_bytes += y->window_bytes >> GROW_SHIFT;
	if (y->window_bytes > MIRROR_YIELD_BYTES_MAX)
		y->window_bytes = MIRROR_YIELD_BYTES_MAX;
}

static bool is_idle(const struct mirror_yield *y, uint64_t now_ns,
		    const uint64_t oldest_ns[MIRROR_YIELD_KIND_COUNT])
{
	for (uint32_t i = 0; i < MIRROR_YIELD_KIND_COUNT; i++)
		if (oldest_ns[i] != 0)
			return false;
	return !is_within(now_ns, y->client_ns, MIRROR_YIELD_IDLE_NS);
}

bool mirror_yield_allows(const struct mirror_yield *y, uint64_t bytes, uint64_t now_ns,
			 const uint64_t oldest_ns[MIRROR_YIELD_KIND_COUNT],
			 uint64_t *again_ns)
{
	const uint64_t pause_ns = y->begun_ns + MIRROR_YIELD_PAUSE_NS;

	if (is_idle(y, now_ns, oldest_ns))
		return y->under_way_bytes == 0 ||
		       y->under_way_bytes + bytes <= MIRROR_YIELD_BYTES_MAX;
	if (y->under_way_bytes > 0 && y->under_way_bytes + bytes > y->window_bytes)
		return false; /* the end of a read asks again */
	if (!is_within(now_ns, y->begun_ns, MIRROR_YIELD_PAUSE_NS))
		return true;
	for (uint32_t i = 0; i < MIRROR_YIELD_KIND_COUNT; i++) {
		const uint64_t limit_ns = mirror_yield_limit_ns(y, i);

		if (oldest_ns[i] != 0 && now_ns - oldest_ns[i] > limit_ns) {
			*again_ns = pause_ns;
			return false;
		}
	}
	return true;
}

void mirror_yield_begin(struct mirror_yield *y, uint64_t bytes, uint64_t now_ns)
{
	y->under_way_bytes += bytes;
	y->begun_ns = now_ns;
}

/* Bytes under way before production began to serve do not count. */
void mirror_yield_end(struct mirror_yield *y, uint64_t bytes)
{
	y->under_way_bytes -= bytes < y->under_way_bytes ? bytes : y->under_way_bytes;
}
