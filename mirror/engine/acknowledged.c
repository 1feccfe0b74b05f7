/* acknowledged.c - see acknowledged.h. */
#include "mirror/engine/acknowledged.h"

#include <assert.h>
#include <errno.h>

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t greatest(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* Only what is durable at a copy counts (M4): in async, and while it changes to near-sync or
 * from it. */
static bool is_by_lag(const struct promise *p)
{
	return p->mode != CONFIG_SYNC && p->bytes != PROMISE_UNBOUNDED_BYTES;
}

static struct mirror_ack_marks has_of(const struct mirror_ack *ack, uint32_t site)
{
	return is_by_lag(&ack->promise) ?
		       (struct mirror_ack_marks){ ack->proven[site], ack->proven[site] } :
		       ack->site[site];
}

/* How far every disk has the records that an answer stands for (M9). */
static uint64_t home_of_all(const struct mirror_ack *ack)
{
	uint64_t home = ack->own_home;

	for (uint32_t site = 0; site < CONFIG_SITE_COUNT_MAX; site++)
		if (mirror_ack_waits_for(ack, site))
			home = least(home, ack->home[site]);
	return home;
}

/* Take the minimum over all sites that count. It can be below an earlier one when a site
 * was added or forgotten; neither mark goes back. */
static void settle(struct mirror_ack *ack)
{
	struct mirror_ack_marks all = ack->own;
	uint64_t answer;

	for (uint32_t site = 0; site < CONFIG_SITE_COUNT_MAX; site++) {
		if (!mirror_ack_waits_for(ack, site))
			continue;
		all.logged = least(all.logged, has_of(ack, site).logged);
		all.durable = least(all.durable, has_of(ack, site).durable);
	}
	ack->everywhere.logged = greatest(ack->everywhere.logged, all.logged);
	ack->everywhere.durable = greatest(ack->everywhere.durable, all.durable);
	/* In async what was logged everywhere counts no more, if it was not answered (M9). */
	answer = is_by_lag(&ack->promise) ? all.logged : ack->everywhere.logged;
	if (ack->promise.home)
		answer = least(answer, home_of_all(ack));
	ack->answered.logged = greatest(ack->answered.logged, answer);
	ack->answered.durable = greatest(
		ack->answered.durable,
		least(ack->everywhere.durable, ack->answered.logged));
	mirror_ack_check(ack);
}

/* ---- the bounds of near-sync (M1) and async (M4) ----------------------------- */

static struct mirror_ack_record *record_of(const struct mirror_ack *ack,
					   uint64_t sequence)
{
	return &ack->record[sequence % ack->record_count];
}

static uint64_t clients_to(const struct mirror_ack *ack, uint64_t sequence)
{
	return sequence < ack->first ? 0 : record_of(ack, sequence)->clients;
}

static uint64_t bytes_to(const struct mirror_ack *ack, uint64_t sequence)
{
	return sequence < ack->first ? 0 : record_of(ack, sequence)->bytes;
}

/* Are all records after `sequence` known? */
static bool is_known_after(const struct mirror_ack *ack, uint64_t sequence)
{
	return ack->record_count > 0 && sequence + 1 >= ack->first &&
	       ack->last - sequence < ack->record_count;
}

/* The last record up to `high` that a copy which ends with `from` lacks `count` clients'
 * writes up to, at most; or so many bytes of them. */
static uint64_t lacks_at_most(const struct mirror_ack *ack, uint64_t from, uint64_t high,
			      uint64_t count,
			      uint64_t (*to)(const struct mirror_ack *ack,
					     uint64_t sequence))
{
	const uint64_t most = to(ack, from) + count;
	uint64_t low = from;

	while (low < high) {
		const uint64_t middle = low + (high - low + 1) / 2;

		if (to(ack, middle) <= most)
			low = middle;
		else
			high = middle - 1;
	}
	return low;
}

static bool is_too_old(const struct mirror_ack *ack, uint64_t sequence, uint64_t now_ns,
		       uint64_t ms)
{
	const uint64_t stamped_ns = record_of(ack, sequence)->stamped_ns;

	return stamped_ns == 0 ||
	       (now_ns > stamped_ns && now_ns - stamped_ns > ms * 1000000);
}

/* Not beyond `limit`, nor beyond the first of the clients' writes after `from` that is older
 * than `ms`. */
static uint64_t young(const struct mirror_ack *ack, uint64_t from, uint64_t limit,
		      uint32_t ms, uint64_t now_ns)
{
	uint64_t oldest;

	if (ms == PROMISE_UNBOUNDED)
		return limit;
	oldest = lacks_at_most(ack, from, limit, 0, clients_to) + 1;
	return oldest <= limit && is_too_old(ack, oldest, now_ns, ms) ? oldest - 1 :
									limit;
}

/* How far a near copy lets us answer. */
static uint64_t lag_limit(const struct mirror_ack *ack, uint32_t site, uint64_t now_ns)
{
	const uint64_t from = ack->proven[site], limit = ack->own.logged;
	const struct promise *p = &ack->promise;

	if (!is_by_lag(p) || from >= limit)
		return limit;
	if (!is_known_after(ack, from))
		return from;
	return young(ack, from, lacks_at_most(ack, from, limit, p->bytes, bytes_to),
		     p->ms, now_ns);
}

/* How far a copy lets us answer. Where the records that it lacks are no longer known, not
 * beyond that. */
static uint64_t copy_limit(const struct mirror_ack *ack, uint32_t site, uint64_t now_ns)
{
	const uint64_t logged = ack->site[site].logged;
	const struct promise *p = &ack->promise;
	uint64_t limit = lag_limit(ack, site, now_ns);

	if (p->mode == CONFIG_ASYNC || logged >= limit)
		return limit;
	if (p->mode == CONFIG_SYNC || !is_known_after(ack, logged))
		return logged;
	if (p->records != PROMISE_UNBOUNDED)
		limit = lacks_at_most(ack, logged, limit, p->records, clients_to);
	return young(ack, logged, limit, p->ms, now_ns);
}

bool mirror_ack_allows(const struct mirror_ack *ack, uint32_t site, uint64_t sequence,
		       uint64_t now_ns)
{
	return copy_limit(ack, site, now_ns) >= sequence;
}

bool mirror_ack_is_near(const struct mirror_ack *ack, uint32_t site, uint64_t sequence,
			uint64_t now_ns)
{
	const uint64_t from = ack->proven[site];
	const struct promise *p = &ack->promise;

	if (p->mode != CONFIG_ASYNC || !is_by_lag(p))
		return false;
	if (from >= sequence)
		return true;
	return is_known_after(ack, from) &&
	       bytes_to(ack, sequence) - bytes_to(ack, from) <= p->bytes / 2 &&
	       young(ack, from, sequence, p->ms == PROMISE_UNBOUNDED ? p->ms : p->ms / 2,
		     now_ns) == sequence;
}

static uint64_t limit_of_all(const struct mirror_ack *ack, uint64_t now_ns)
{
	uint64_t limit = ack->own.logged;

	for (uint32_t site = 0; site < CONFIG_SITE_COUNT_MAX; site++)
		if (mirror_ack_waits_for(ack, site))
			limit = least(limit, copy_limit(ack, site, now_ns));
	return limit;
}

void mirror_ack_records(struct mirror_ack *ack, struct mirror_ack_record *record,
			uint64_t count, uint64_t sequence)
{
	ack->record = record;
	ack->record_count = count;
	ack->first = sequence + 1;
	ack->last = sequence;
}

void mirror_ack_set_proven(struct mirror_ack *ack, uint32_t site, uint64_t durable)
{
	assert(site < CONFIG_SITE_COUNT_MAX);

	if (ack->proven[site] == durable)
		return;
	ack->proven[site] = durable;
	settle(ack);
}

void mirror_ack_note(struct mirror_ack *ack, uint64_t sequence, bool client,
		     uint64_t bytes, uint64_t stamped_ns)
{
	if (ack->record_count == 0)
		return;
	if (sequence != ack->last + 1)
		ack->first = sequence;
	*record_of(ack, sequence) = (struct mirror_ack_record){
		.clients = (sequence == ack->first ? 0 : clients_to(ack, sequence - 1)) +
			   (client ? 1 : 0),
		.bytes = (sequence == ack->first ? 0 : bytes_to(ack, sequence - 1)) +
			 (client ? bytes : 0),
		.stamped_ns = stamped_ns,
	};
	ack->last = sequence;
}

uint64_t mirror_ack_stamped_ns(const struct mirror_ack *ack, uint64_t sequence)
{
	return sequence <= ack->last && is_known_after(ack, sequence - 1) ?
		       record_of(ack, sequence)->stamped_ns :
		       0;
}

/* A flush that was answerable before need not be so under a stricter promise. */
void mirror_ack_promise(struct mirror_ack *ack, const struct promise *promise)
{
	ack->promise = *promise;
	ack->before = ack->answered.logged;
	ack->answered.durable = least(ack->everywhere.durable, ack->answered.logged);
	settle(ack);
}

bool mirror_ack_is_kept(const struct mirror_ack *ack, uint64_t now_ns)
{
	if (limit_of_all(ack, now_ns) < ack->before ||
	    (ack->promise.home && home_of_all(ack) < ack->before))
		return false;
	for (uint32_t site = 0; site < CONFIG_SITE_COUNT_MAX; site++)
		if (ack->promise.mode == CONFIG_SYNC && mirror_ack_waits_for(ack, site) &&
		    ack->site[site].durable < ack->before)
			return false; /* a flush was answered without it */
	return true;
}

void mirror_ack_answer(struct mirror_ack *ack, uint64_t now_ns)
{
	uint64_t limit;

	if (ack->promise.mode == CONFIG_SYNC)
		return;
	limit = limit_of_all(ack, now_ns);
	ack->answered.logged = greatest(ack->answered.logged, limit);
	ack->answered.durable = greatest(
		least(ack->everywhere.durable, ack->answered.logged),
		least(ack->own.durable, limit));
	mirror_ack_check(ack);
}

/* ---- marks ----------------------------------------------------------------- */

void mirror_ack_reset(struct mirror_ack *ack, uint64_t base)
{
	const struct mirror_ack_marks marks = { .logged = base, .durable = base };

	*ack = (struct mirror_ack){ .own = marks,
				    .everywhere = marks,
				    .answered = marks };
	mirror_ack_check(ack);
}

void mirror_ack_set_own(struct mirror_ack *ack, uint64_t logged, uint64_t durable)
{
	assert(logged >= ack->own.logged && durable >= ack->own.durable);
	assert(durable <= logged);

	ack->own = (struct mirror_ack_marks){ .logged = logged, .durable = durable };
	settle(ack);
}

int mirror_ack_set_site(struct mirror_ack *ack, uint32_t site, uint64_t logged,
			uint64_t durable)
{
	const struct mirror_ack_marks *old = &ack->site[site];

	assert(site < CONFIG_SITE_COUNT_MAX);

	/* The marks came over the wire: an error to report, not to assert. */
	if (logged < old->logged || durable < old->durable || durable > logged)
		return -EPROTO;
	ack->site[site] = (struct mirror_ack_marks){ .logged = logged,
						     .durable = durable };
	settle(ack);
	return 0;
}

void mirror_ack_set_home(struct mirror_ack *ack, uint32_t site, uint64_t home)
{
	assert(site < CONFIG_SITE_COUNT_MAX);

	if (ack->home[site] == home)
		return;
	ack->home[site] = home;
	settle(ack);
}

void mirror_ack_set_own_home(struct mirror_ack *ack, uint64_t home)
{
	if (ack->own_home == home)
		return;
	ack->own_home = home;
	settle(ack);
}

void mirror_ack_forget_site(struct mirror_ack *ack, uint32_t site)
{
	assert(site < CONFIG_SITE_COUNT_MAX);

	ack->site[site] = (struct mirror_ack_marks){ 0 };
	ack->home[site] = 0;
	settle(ack);
}

void mirror_ack_add(struct mirror_ack *ack, uint32_t site)
{
	assert(site < CONFIG_SITE_COUNT_MAX);

	ack->waited |= 1u << site;
	settle(ack);
}

void mirror_ack_remove(struct mirror_ack *ack, uint32_t site)
{
	assert(site < CONFIG_SITE_COUNT_MAX);

	ack->waited &= ~(1u << site);
	settle(ack);
}

uint64_t mirror_ack_acknowledged(const struct mirror_ack *ack)
{
	return ack->answered.logged;
}

uint64_t mirror_ack_flushed(const struct mirror_ack *ack)
{
	return ack->answered.durable;
}

void mirror_ack_check(const struct mirror_ack *ack)
{
	assert(ack->own.durable <= ack->own.logged);
	assert(ack->answered.durable <= ack->answered.logged);
	assert(ack->answered.logged <= ack->own.logged);
	assert(ack->answered.durable <= ack->own.durable);
	assert(ack->everywhere.durable <= ack->everywhere.logged);
	assert(ack->everywhere.logged <= ack->answered.logged || ack->promise.home ||
	       is_by_lag(&ack->promise));
	assert(ack->everywhere.durable <= ack->answered.durable || ack->promise.home ||
	       is_by_lag(&ack->promise));
	for (uint32_t site = 0; site < CONFIG_SITE_COUNT_MAX; site++)
		assert(ack->site[site].durable <= ack->site[site].logged);
}
