/* voter_format.c - see voter_format.h. */
#include "cluster/voter_format.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>

#include "common/crc.h"

#define VOTER_MAGIC 0x564d4148u /* "HAMV" */
#define VOTER_VERSION 1u
/* Features: */
#define VOTER_RELEASES 1u /* the releases follow the views */
#define VOTER_FENCINGS 2u /* and the fencings follow those */
#define VOTER_HEARD 4u    /* and the signs of life those */
#define VOTER_FEATURES (VOTER_RELEASES | VOTER_FENCINGS | VOTER_HEARD)
#define HEADER_BYTES 28u /* magic .. counter, CRC */

/* Of how many nodes: the configuration may have had fewer then. */
static uint32_t count_codec(struct codec *c, const struct config *config)
{
	uint32_t count = config->node_count;

	codec_u32(c, &count);
	if (count <= CONFIG_NODE_COUNT_MAX)
		return count;
	c->bytes.bad = true;
	return 0;
}

static void released_codec(struct codec *c, const struct config *config, struct voter *v)
{
	const uint32_t count = count_codec(c, config);

	for (uint32_t n = 0; n < count; n++)
		for (uint32_t i = 0; i < RELEASED_COUNT_MAX; i++)
			codec_u64(c, &v->released[n][i]);
}

static void fenced_codec(struct codec *c, const struct config *config, struct voter *v)
{
	const uint32_t count = count_codec(c, config);

	for (uint32_t n = 0; n < count; n++) {
		codec_u64(c, &v->fenced[n].boot);
		codec_u64(c, &v->fenced[n].wall_ns);
	}
}

static void heard_codec(struct codec *c, const struct config *config, struct voter *v)
{
	const uint32_t count = count_codec(c, config);

	for (uint32_t n = 0; n < count; n++) {
		codec_u64(c, &v->heard[n].boot);
		codec_u64(c, &v->heard[n].own_boot);
		codec_u64(c, &v->heard[n].now_ns);
		codec_u64(c, &v->heard[n].wall_ns);
	}
}

static bool body_codec(struct codec *c, const struct config *config, uint32_t features,
		       struct voter *v, char *text, size_t text_size)
{
	bool same = true;

	codec_uuid(c, &v->mirror);
	codec_u32(c, &v->node);
	codec_u64(c, &v->epoch);
	codec_u64(c, &v->promised);
	codec_bool(c, &v->has_accepted);
	codec_bool(c, &v->has_in_effect);
	if (v->has_accepted)
		same = cluster_view_codec(c, config, &v->accepted, text, text_size);
	if (v->has_in_effect)
		same &= cluster_view_codec(c, config, &v->in_effect, text, text_size);
	if ((features & VOTER_RELEASES) != 0)
		released_codec(c, config, v);
	if ((features & VOTER_FENCINGS) != 0)
		fenced_codec(c, config, v);
	if ((features & VOTER_HEARD) != 0)
		heard_codec(c, config, v);
	return same;
}

static uint32_t crc_of(const uint8_t *data, size_t length)
{
	return common_crc32c(common_crc32c(0, data, HEADER_BYTES - 4),
			     data + HEADER_BYTES, length - HEADER_BYTES);
}

size_t cluster_voter_encode(const struct config *config, const struct voter *v,
			    uint8_t *data)
{
	struct codec c = codec_writer(data, CLUSTER_VOTER_FILE_BYTES);
	struct bytes header = bytes_of(data, HEADER_BYTES);
	struct voter *fields = (struct voter *)(uintptr_t)
		v; /* a writer changes nothing */
	char text[160];

	c.bytes.position = HEADER_BYTES;
	body_codec(&c, config, VOTER_FEATURES, fields, text, sizeof text);
	assert(!c.bytes.bad);
	bytes_put_u32(&header, VOTER_MAGIC);
	bytes_put_u16(&header, VOTER_VERSION);
	bytes_put_u16(&header, 0);
	bytes_put_u32(&header, VOTER_FEATURES); /* incompatible features */
	bytes_put_u32(&header, (uint32_t)c.bytes.position);
	bytes_put_u64(&header, v->counter);
	bytes_put_u32(&header, crc_of(data, c.bytes.position));
	return c.bytes.position;
}

/* True when the slot is whole; it may be longer than the last write. */
static bool slot_is_whole(const uint8_t *data, size_t length, uint64_t *counter,
			  size_t *used)
{
	struct codec c = codec_reader(data, length);
	const uint32_t magic = bytes_get_u32(&c.bytes);

	bytes_take(&c.bytes, 8);
	*used = bytes_get_u32(&c.bytes);
	*counter = bytes_get_u64(&c.bytes);
	return !c.bytes.bad && magic == VOTER_MAGIC && *used >= HEADER_BYTES &&
	       *used <= length && bytes_get_u32(&c.bytes) == crc_of(data, *used);
}

int cluster_voter_newest(const uint8_t *slot0, size_t length0, const uint8_t *slot1,
			 size_t length1)
{
	uint64_t counter0, counter1;
	size_t used;
	const bool whole0 = slot_is_whole(slot0, length0, &counter0, &used);
	const bool whole1 = slot_is_whole(slot1, length1, &counter1, &used);

	if (whole0 && whole1)
		return counter1 > counter0 ? 1 : 0;
	return whole0 ? 0 : whole1 ? 1 : -1;
}

static bool has_ended(const struct voter *v, const struct view_host *h)
{
	for (uint32_t i = 0; i < RELEASED_COUNT_MAX; i++)
		if (v->released[h->node][i] == h->incarnation)
			return true;
	return v->fenced[h->node].boot != 0 && v->fenced[h->node].boot == h->boot;
}

/* D6: the number of a host that is not listed any more may be given to another node, whose
 * boot would then be taken for its end. So it has to have ended, and is forgotten. So is any
 * other node that was fenced; one that may live is asked before a force
 * (cluster_devices_mate_held()). */
static bool drop_unlisted_hosts(const struct config *config, const struct voter *v,
				struct view *view, char *text, size_t text_size)
{
	for (uint32_t s = 0; s < view->site_count; s++) {
		struct view_host *h = &view->site[s].host;

		if (h->node < (int32_t)config->node_count)
			continue;
		if (!has_ended(v, h)) {
			snprintf(text, text_size,
				 "the host of %s is not in the file any more, and may "
				 "have its disks open: list it again, then stop it or "
				 "fence it",
				 s < config->site_count ? config->site[s].name :
							  "a site");
			return false;
		}
		*h = (struct view_host){ .node = VIEW_NONE };
	}
	for (uint32_t n = config->node_count; n < CONFIG_NODE_COUNT_MAX; n++)
		if (v->fenced[n].boot != 0 && v->fenced[n].boot == view->member[n].boot)
			cluster_view_forget(view, n);
	return true;
}

int cluster_voter_decode(const struct config *config, uint32_t node, const uint8_t *data,
			 size_t length, struct voter *v, char *text, size_t text_size)
{
	struct codec c = codec_reader(data, length);
	uint32_t features;
	uint64_t counter;
	size_t used;
	bool same;

	memset(v, 0, sizeof *v);
	if (!slot_is_whole(data, length, &counter, &used)) {
		snprintf(text, text_size, "the voter file is damaged: no slot is whole");
		return -EBADMSG;
	}
	c.bytes.position = 4;
	same = bytes_get_u16(&c.bytes) == VOTER_VERSION && bytes_get_u16(&c.bytes) == 0;
	features = bytes_get_u32(&c.bytes);
	if (!same || (features & ~VOTER_FEATURES) != 0) {
		snprintf(text, text_size,
			 "the voter file is of another version of hamirror");
		return -EPROTONOSUPPORT;
	}
	c.bytes.position = HEADER_BYTES;
	v->counter = counter;
	same = body_codec(&c, config, features, v, text, text_size);
	if (c.bytes.bad || c.bytes.position != used || v->epoch == 0) {
		snprintf(text, text_size, "the voter file contradicts itself");
		return -EBADMSG;
	}
	if (!same ||
	    (v->accepted.ballot >= v->in_effect.ballot &&
	     !drop_unlisted_hosts(config, v, &v->accepted, text, text_size)) ||
	    !drop_unlisted_hosts(config, v, &v->in_effect, text, text_size))
		return -ESTALE;
	if (v->node != node) {
		snprintf(text, text_size, "the voter file is of node %u, this is node %u",
			 v->node, node);
		return -ENXIO;
	}
	return 0;
}
