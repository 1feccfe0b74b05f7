/* message.c - see message.h. */
#include "cluster/message.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>

#include "common/config_difference.h"
#include "common/crc.h"

#define MESSAGE_MAGIC 0x4d4d4148u /* "HAMM" */
#define MESSAGE_VERSION 4u
#define HEADER_BYTES 20u /* magic .. CRC: outside of the CRC's range */

static void generation_codec(struct codec *c, struct generation *g)
{
	codec_u64(c, &g->ordinal);
	codec_uuid(c, &g->id);
	codec_uuid(c, &g->parent);
	codec_u64(c, &g->cut);
	codec_u32(c, &g->reason);
	codec_u32(c, &g->site);
}

static void announce_codec(struct codec *c, struct announce *a)
{
	codec_text(c, a->name, sizeof a->name);
	codec_u64(c, &a->boot);
	codec_u32(c, &a->flags);
	codec_u32(c, &a->reach);
	codec_i32(c, &a->site);
	codec_u64(c, &a->incarnation_open);
	codec_u64(c, &a->incarnation_next);
	codec_u64(c, &a->released);
	codec_u64(c, &a->epoch);
	codec_u64(c, &a->promised);
	codec_u64(c, &a->ballot);
	codec_uuid(c, &a->lineage);
	codec_uuid(c, &a->fork_lineage);
	codec_u64(c, &a->fork_ballot);
	codec_uuid(c, &a->serving);
	codec_uuid(c, &a->log);
	codec_uuid(c, &a->log_lineage);
	generation_codec(c, &a->log_newest);
	codec_u64(c, &a->marks.logged);
	codec_u64(c, &a->marks.durable);
	codec_u64(c, &a->marks.home);
	codec_u32(c, &a->data);
	for (uint32_t s = 0; s < CONFIG_SITE_COUNT_MAX; s++)
		codec_u8(c, &a->link[s]);
	codec_text(c, a->text, sizeof a->text);
	if ((a->flags & ~ANNOUNCE_FLAGS) != 0 || a->site < VIEW_NONE ||
	    a->site >= CONFIG_SITE_COUNT_MAX || a->data > DATA_UP_TO_DATE)
		c->bytes.bad = true;
	for (uint32_t s = 0; s < CONFIG_SITE_COUNT_MAX; s++)
		if (a->link[s] > LINK_CONNECTED)
			c->bytes.bad = true;
}

static void agreed_codec(struct codec *c, char *agreed)
{
	if (c->writing)
		config_agreed_put(&c->bytes, agreed);
	else
		config_agreed_get(&c->bytes, agreed);
}

static void state_codec(struct codec *c, const struct config *config,
			struct message_state *s)
{
	char text[160];

	codec_bool(c, &s->has_view);
	if (s->has_view)
		cluster_view_codec(c, config, &s->view, text, sizeof text);
	for (uint32_t n = 0; n < CONFIG_NODE_COUNT_MAX; n++) {
		for (uint32_t i = 0; i < RELEASED_COUNT_MAX; i++)
			codec_u64(c, &s->released[n][i]);
		codec_u64(c, &s->fenced_boot[n]);
	}
}

static void disks_codec(struct codec *c, struct message_disks *d)
{
	codec_u32(c, &d->site);
	codec_uuid(c, &d->log);
	codec_u32(c, &d->count);
	if (d->site >= CONFIG_SITE_COUNT_MAX || d->count > CONFIG_DISK_COUNT_MAX) {
		c->bytes.bad = true;
		d->count = 0;
	}
	for (uint32_t i = 0; i < d->count; i++) {
		codec_text(c, d->disk[i].name, sizeof d->disk[i].name);
		codec_u64(c, &d->disk[i].bytes);
	}
}

static void promise_codec(struct codec *c, const struct config *config,
			  struct message_promise *p)
{
	char text[160];

	codec_u64(c, &p->ballot);
	codec_u64(c, &p->epoch);
	codec_u64(c, &p->accepted_ballot);
	codec_u64(c, &p->in_effect_ballot);
	codec_bool(c, &p->has_accepted);
	codec_bool(c, &p->has_in_effect);
	if (p->has_accepted)
		cluster_view_codec(c, config, &p->accepted, text, sizeof text);
	if (p->has_in_effect)
		cluster_view_codec(c, config, &p->in_effect, text, sizeof text);
}

static void start_codec(struct codec *c, struct message *m)
{
	codec_uuid(c, &m->start.generation);
	codec_u32(c, &m->start.site);
	codec_u32(c, &m->start.node);
	codec_u64(c, &m->start.incarnation);
	if (m->start.site >= CONFIG_SITE_COUNT_MAX ||
	    m->start.node >= CONFIG_NODE_COUNT_MAX)
		c->bytes.bad = true;
}

static void fenced_codec(struct codec *c, struct message *m)
{
	codec_u32(c, &m->fenced.node);
	codec_u64(c, &m->fenced.boot);
	if (m->fenced.node >= CONFIG_NODE_COUNT_MAX)
		c->bytes.bad = true;
}

static void news_codec(struct codec *c, struct message *m)
{
	codec_text(c, m->news.object, sizeof m->news.object);
	codec_text(c, m->news.text, sizeof m->news.text);
	codec_text(c, m->news.rule, sizeof m->news.rule);
}

static void body_codec(struct codec *c, const struct config *config, struct message *m)
{
	char text[160];

	switch (m->type) {
	case MESSAGE_ANNOUNCE:
		announce_codec(c, &m->announce);
		agreed_codec(c, m->agreed);
		break;
	case MESSAGE_STATE:
		state_codec(c, config, &m->state);
		break;
	case MESSAGE_DISKS:
		disks_codec(c, &m->disks);
		break;
	case MESSAGE_START:
		start_codec(c, m);
		break;
	case MESSAGE_PREPARE:
		codec_u64(c, &m->prepare.ballot);
		codec_u32(c, &m->prepare.kind);
		codec_u64(c, &m->prepare.known);
		break;
	case MESSAGE_PROMISE:
		promise_codec(c, config, &m->promise);
		break;
	case MESSAGE_PROPOSE:
		cluster_view_codec(c, config, &m->propose.view, text, sizeof text);
		break;
	case MESSAGE_ACCEPTED:
	case MESSAGE_REFUSE:
	case MESSAGE_COMMIT:
	case MESSAGE_OBJECT:
		codec_u64(c, &m->vote.ballot);
		codec_u64(c, &m->vote.epoch);
		codec_u64(c, &m->vote.promised);
		break;
	case MESSAGE_RENEW:
	case MESSAGE_GRANT:
		codec_uuid(c, &m->lease.generation);
		codec_u64(c, &m->lease.counter);
		codec_u64(c, &m->lease.epoch);
		codec_u64(c, &m->lease.voters);
		break;
	case MESSAGE_RELEASE:
		codec_u32(c, &m->release.site);
		codec_u64(c, &m->release.incarnation);
		break;
	case MESSAGE_FENCED:
		fenced_codec(c, m);
		break;
	case MESSAGE_NEWS:
		news_codec(c, m);
		break;
	case MESSAGE_TYPE_END:
		assert(false);
		break;
	}
}

/* The part that the CRC covers and that all messages have. */
static void sender_codec(struct codec *c, struct message *m)
{
	codec_u32(c, &m->node);
	codec_u64(c, &m->incarnation);
	codec_u64(c, &m->config_hash);
	codec_uuid(c, &m->mirror);
	if (m->node >= CONFIG_NODE_COUNT_MAX)
		c->bytes.bad = true;
}

size_t cluster_message_encode(const struct config *config, const struct message *m,
			      uint8_t *data)
{
	struct codec c = codec_writer(data, CLUSTER_MESSAGE_MAX);
	struct bytes header = bytes_of(data, HEADER_BYTES);
	/* The codec takes a struct that it may fill; a writer changes nothing. */
	struct message *fields = (struct message *)(uintptr_t)m;
	size_t length;

	c.bytes.position = HEADER_BYTES;
	sender_codec(&c, fields);
	body_codec(&c, config, fields);
	assert(!c.bytes.bad);
	length = c.bytes.position;
	bytes_put_u32(&header, MESSAGE_MAGIC);
	bytes_put_u16(&header, MESSAGE_VERSION);
	bytes_put_u16(&header, (uint16_t)m->type);
	bytes_put_u32(&header, 0); /* incompatible features */
	bytes_put_u32(&header, (uint32_t)length);
	bytes_put_u32(&header, common_crc32c(common_crc32c(0, data, HEADER_BYTES - 4),
					     data + HEADER_BYTES, length - HEADER_BYTES));
	return length;
}

static int refuse(char *text, size_t text_size, int error, const char *why)
{
	snprintf(text, text_size, "%s", why);
	return error;
}

int cluster_message_decode(const struct config *config, const uint8_t *data,
			   size_t length, struct message *m, char *text, size_t text_size)
{
	struct codec c = codec_reader(data, length);
	const uint32_t magic = bytes_get_u32(&c.bytes);
	const uint16_t version = bytes_get_u16(&c.bytes), type = bytes_get_u16(&c.bytes);
	const uint32_t features = bytes_get_u32(&c.bytes), said = bytes_get_u32(&c.bytes);
	const uint32_t crc = bytes_get_u32(&c.bytes);

	if (c.bytes.bad || magic != MESSAGE_MAGIC || said != length)
		return refuse(text, text_size, -EBADMSG,
			      "it is no whole message of hamirror");
	if (crc != common_crc32c(common_crc32c(0, data, HEADER_BYTES - 4),
				 data + HEADER_BYTES, length - HEADER_BYTES))
		return refuse(text, text_size, -EBADMSG, "its checksum does not match");
	if (version != MESSAGE_VERSION || features != 0)
		return refuse(text, text_size, -EPROTONOSUPPORT,
			      "it is of another version of hamirror");
	if (type == 0 || type >= MESSAGE_TYPE_END)
		return refuse(text, text_size, -EBADMSG, "its type is not known");
	memset(m, 0, sizeof *m);
	m->type = (enum message_type)type;
	sender_codec(&c, m);
	if (!c.bytes.bad && m->config_hash != config->hash && m->type != MESSAGE_ANNOUNCE)
		return refuse(text, text_size, -ESTALE, "it is of another configuration");
	body_codec(&c, config, m);
	if (c.bytes.bad || c.bytes.position != length)
		return refuse(text, text_size, -EBADMSG,
			      "its fields contradict each other");
	if (m->config_hash != config->hash)
		return refuse(text, text_size, -ESTALE, "it is of another configuration");
	return 0;
}
