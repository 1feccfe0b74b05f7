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

/* Take the minimum over all sites that count. It can be below an answered sequence when a
 * site was added or forgotten; the answered sequence does not go back. */
static void settle(struct mirror_ack *ack)
{
	struct mirror_ack_marks all = ack->own;

	for (uint32_t site = 0; site < CONFIG_SITE_COUNT_MAX; site++) {
		if (!mirror_ack_waits_for(ack, site))
			continue;
		all.logged = least(all.logged, ack->site[site].logged);
		all.durable = least(all.durable, ack->site[site].durable);
	}
	ack->answered.logged = greatest(ack->answered.logged, all.logged);
	ack->answered.durable = greatest(ack->answered.durable, all.durable);
	mirror_ack_check(ack);
}

void mirror_ack_reset(struct mirror_ack *ack, uint64_t base)
{
	const struct mirror_ack_marks marks = { .logged = base, .durable = base };

	*ack = (struct mirror_ack){ .own = marks, .answered = marks };
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

void mirror_ack_forget_site(struct mirror_ack *ack, uint32_t site)
{
	assert(site < CONFIG_SITE_COUNT_MAX);

	ack->site[site] = (struct mirror_ack_marks){ 0 };
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
	for (uint32_t site = 0; site < CONFIG_SITE_COUNT_MAX; site++)
		assert(ack->site[site].durable <= ack->site[site].logged);
}
