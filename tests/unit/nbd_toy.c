/* nbd_toy.c - see nbd_toy.h. */
#include "tests/unit/nbd_toy.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

void toy_create(struct toy *t, uint64_t pool_bytes)
{
	memset(t, 0, sizeof *t);
	for (uint32_t i = 0; i < TOY_DISK_BYTES; i++)
		t->disk[i] = (uint8_t)(i * 31 + i / 512);
	t->pool = mirror_pool_create(pool_bytes);
	ck_assert_ptr_nonnull(t->pool);
	mirror_nbd_server_init(&t->server, t->pool, "data", 0);
	t->server.exports.count = 1;
	t->server.exports.disk[0].name = "db";
	t->server.exports.disk[0].size_bytes = TOY_DISK_BYTES;
	t->takes = t->lease = true;
}

static void end_client(struct toy_client *c)
{
	if (c->nbd != NULL && mirror_nbd_client_end(c->nbd))
		c->nbd = NULL;
}

void toy_destroy(struct toy *t)
{
	for (uint32_t i = 0; i < TOY_CLIENTS_MAX; i++)
		if (t->client[i].nbd != NULL)
			mirror_nbd_client_hang_up(t->client[i].nbd);
	while (t->waiting_count > 0)
		toy_do(t, 0, 0);
	for (uint32_t i = 0; i < TOY_CLIENTS_MAX; i++) {
		end_client(&t->client[i]);
		ck_assert_ptr_null(t->client[i].nbd);
		free(t->client[i].out);
	}
	ck_assert_uint_eq(t->server.held_bytes, 0);
	ck_assert_ptr_null(t->server.line_first);
	ck_assert_uint_eq(mirror_pool_bytes_free(t->pool),
			  mirror_pool_bytes_total(t->pool));
	mirror_pool_destroy(t->pool);
}

void toy_pump(struct toy *t)
{
	struct mirror_request *r;
	bool moved = true;

	while (moved) {
		moved = false;
		for (uint32_t i = 0; i < TOY_CLIENTS_MAX; i++) {
			if (t->client[i].nbd == NULL)
				continue;
			r = mirror_nbd_client_next(t->client[i].nbd, t->takes);
			if (r == NULL)
				continue;
			ck_assert_uint_lt(t->waiting_count, TOY_WAITING_MAX);
			ck_assert_uint_eq(r->offset_bytes % 512, 0);
			ck_assert_uint_eq(r->length_bytes % 512, 0);
			ck_assert_uint_le(r->offset_bytes + r->length_bytes,
					  TOY_DISK_BYTES);
			t->waiting[t->waiting_count++] = r;
			moved = true;
		}
	}
	for (uint32_t i = 0; i < TOY_CLIENTS_MAX; i++)
		if (t->client[i].nbd != NULL)
			mirror_nbd_client_check(t->client[i].nbd);
}

size_t toy_deliver(struct toy *t, struct toy_client *c, const void *bytes, size_t count)
{
	const uint8_t *from = bytes;
	struct iovec iov[2];
	bool all;

	toy_pump(t);
	while (count > 0) {
		const uint32_t n = mirror_nbd_client_receive(c->nbd, iov, &all);
		size_t taken = 0;

		if (n == 0)
			break;
		for (uint32_t i = 0; i < n; i++) {
			const size_t part = iov[i].iov_len < count ? iov[i].iov_len :
								     count;

			memcpy(iov[i].iov_base, from, part);
			from += part;
			taken += part;
			count -= part;
		}
		mirror_nbd_client_received(c->nbd, taken);
		toy_pump(t);
	}
	return (size_t)(from - (const uint8_t *)bytes);
}

struct toy_client *toy_connect(struct toy *t, bool structured)
{
	static const uint8_t flags[4] = { 0, 0, 0, 3 };
	static const uint8_t structured_reply[16] = "IHAVEOPT\0\0\0\x08\0\0\0";
	static const uint8_t export_name[16] = "IHAVEOPT\0\0\0\1\0\0\0";
	struct toy_client *c = t->client;

	while (c->nbd != NULL)
		c++;
	c->nbd = mirror_nbd_client_create(&t->server, MIRROR_NBD_LOCAL);
	ck_assert_ptr_nonnull(c->nbd);
	if (c->out == NULL)
		c->out = malloc(TOY_OUT_BYTES);
	c->out_bytes = c->read_at = 0;
	toy_pump(t);
	toy_collect(t, c);
	toy_deliver(t, c, flags, sizeof flags);
	if (structured)
		toy_deliver(t, c, structured_reply, 16);
	toy_collect(t, c);
	toy_deliver(t, c, export_name, 16);
	toy_collect(t, c);
	toy_expect_bytes(t, c, structured ? 18 + 20 + 10 : 18 + 10);
	toy_expect_silence(t, c);
	return c;
}

void toy_command(struct toy *t, struct toy_client *c, uint16_t type, uint16_t flags,
		 uint64_t cookie, uint64_t offset, uint32_t length, const void *data)
{
	uint8_t head[MIRROR_NBD_REQUEST_BYTES];

	mirror_nbd_put(head, 0x25609513, 4);
	mirror_nbd_put(head + 4, flags, 2);
	mirror_nbd_put(head + 6, type, 2);
	mirror_nbd_put(head + 8, cookie, 8);
	mirror_nbd_put(head + 16, offset, 8);
	mirror_nbd_put(head + 24, length, 4);
	ck_assert_uint_eq(toy_deliver(t, c, head, sizeof head), sizeof head);
	if (data != NULL)
		ck_assert_uint_eq(toy_deliver(t, c, data, length), length);
}

static void take_effect(struct toy *t, struct mirror_request *r)
{
	switch (r->type) {
	case MIRROR_REQUEST_READ:
		memcpy(r->data, t->disk + r->offset_bytes, r->length_bytes);
		break;
	case MIRROR_REQUEST_WRITE:
		memcpy(t->disk + r->offset_bytes, r->data, r->length_bytes);
		mirror_pool_put(t->pool, r->data);
		r->data = NULL;
		break;
	case MIRROR_REQUEST_ZERO:
		memset(t->disk + r->offset_bytes, 0, r->length_bytes);
		break;
	case MIRROR_REQUEST_FLUSH:
		break;
	}
}

void toy_do(struct toy *t, uint32_t index, int error)
{
	struct mirror_request *r = t->waiting[index];

	ck_assert_uint_lt(index, t->waiting_count);
	t->waiting_count--;
	memmove(&t->waiting[index], &t->waiting[index + 1],
		(t->waiting_count - index) * sizeof t->waiting[0]);
	if (error == 0)
		take_effect(t, r);
	r->result = error;
	mirror_nbd_client_answer(r);
	toy_pump(t);
}

void toy_do_all(struct toy *t)
{
	while (t->waiting_count > 0)
		toy_do(t, 0, 0);
}

void toy_collect(struct toy *t, struct toy_client *c)
{
	struct iovec iov[16];
	uint32_t n;

	while ((n = mirror_nbd_client_gather(c->nbd, t->lease, iov, 16)) > 0) {
		size_t bytes = 0;

		for (uint32_t i = 0; i < n; i++) {
			ck_assert_uint_le(c->out_bytes + iov[i].iov_len, TOY_OUT_BYTES);
			memcpy(c->out + c->out_bytes, iov[i].iov_base, iov[i].iov_len);
			c->out_bytes += iov[i].iov_len;
			bytes += iov[i].iov_len;
		}
		mirror_nbd_client_sent(c->nbd, bytes);
		toy_pump(t);
	}
}

const uint8_t *toy_expect_bytes(struct toy *t, struct toy_client *c, size_t count)
{
	toy_collect(t, c);
	ck_assert_uint_ge(c->out_bytes - c->read_at, count);
	c->read_at += count;
	return c->out + c->read_at - count;
}

void toy_expect_simple(struct toy *t, struct toy_client *c, uint64_t cookie,
		       uint32_t error)
{
	const uint8_t *at = toy_expect_bytes(t, c, 16);

	ck_assert_uint_eq(mirror_nbd_get(at, 4), 0x67446698u);
	ck_assert_uint_eq(mirror_nbd_get(at + 8, 8), cookie);
	ck_assert_uint_eq(mirror_nbd_get(at + 4, 4), error);
}

void toy_expect_silence(struct toy *t, struct toy_client *c)
{
	toy_collect(t, c);
	ck_assert_uint_eq(c->out_bytes, c->read_at);
}

void toy_disconnect(struct toy *t, struct toy_client *c)
{
	mirror_nbd_client_hang_up(c->nbd);
	end_client(c);
	ck_assert_ptr_null(c->nbd);
	toy_pump(t);
}
