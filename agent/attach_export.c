/* attach_export.c - an export of hamirrord's own NBD socket, for a front-end that is not
 * an NBD client itself: see attach_helper.h.
 *
 * Source: proto.md of the NBD project, "fixed newstyle negotiation".
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/attach_helper.h"
#include "agent/paths.h"

#define REPLY_BYTES_MAX 1024u
#define REPLY_MAGIC 0x0003e889045565a9ull

#define OPTION_GO 7u
#define REPLY_ACK 1u
#define REPLY_INFO 3u
#define REPLY_ERROR 0x80000000u
#define INFO_EXPORT 0u
#define INFO_BLOCK_SIZE 3u

#define SECTOR_BYTES 512u
#define SECTOR_BYTES_MAX 4096u /* of a device: a page, on every machine */

static bool put(int fd, const void *from, size_t bytes)
{
	return send(fd, from, bytes, MSG_NOSIGNAL) == (ssize_t)bytes;
}

static bool get(int fd, void *to, size_t bytes)
{
	return bytes == 0 || recv(fd, to, bytes, MSG_WAITALL) == (ssize_t)bytes;
}

static uint64_t big_endian(const uint8_t *at, size_t width)
{
	uint64_t value = 0;

	for (size_t i = 0; i < width; i++)
		value = value << 8 | at[i];
	return value;
}

static int connect_socket(struct attach_disk *d)
{
	struct sockaddr_un address;
	int directory_fd, fd, error;

	if (agent_socket_address(d->socket, &address, &directory_fd) < 0)
		return attach_helper_fail(d, ENAMETOOLONG, "%s", d->socket);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	error = fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0 ?
			errno :
			0;
	if (directory_fd >= 0)
		close(directory_fd);
	if (error == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	return attach_helper_fail(d, error, "%s", d->socket);
}

/* The client's flags, and the option with the name and one information asked for. */
static bool ask(const struct attach_disk *d, int fd)
{
	const size_t name_bytes = strlen(d->export);
	uint8_t out[4 + 16 + 4 + CONFIG_NAME_MAX + 4] = "\0\0\0\3IHAVEOPT\0\0\0\7\0\0\0";
	uint8_t greeting[18];

	out[19] = (uint8_t)(name_bytes + 8);
	out[23] = (uint8_t)name_bytes;
	memcpy(out + 24, d->export, name_bytes);
	out[24 + name_bytes + 1] = 1;
	out[24 + name_bytes + 3] = INFO_BLOCK_SIZE;
	return get(fd, greeting, sizeof greeting) &&
	       memcmp(greeting, "NBDMAGICIHAVEOPT", 16) == 0 &&
	       put(fd, out, 24 + name_bytes + 4);
}

static void take_info(const uint8_t *data, size_t bytes, struct attach_export *e)
{
	if (bytes == 12 && big_endian(data, 2) == INFO_EXPORT) {
		e->size_bytes = big_endian(data + 2, 8);
		e->flags = (uint16_t)big_endian(data + 10, 2);
	}
	if (bytes == 14 && big_endian(data, 2) == INFO_BLOCK_SIZE)
		e->sector_bytes = (uint32_t)big_endian(data + 2, 4);
}

/* Returns 0 when the export is ours, or -errno with a sentence. */
static int answer(struct attach_disk *d, int fd, struct attach_export *e)
{
	for (;;) {
		uint8_t head[20], data[REPLY_BYTES_MAX];
		uint32_t type, bytes;

		if (!get(fd, head, sizeof head) || big_endian(head, 8) != REPLY_MAGIC)
			break;
		type = (uint32_t)big_endian(head + 12, 4);
		bytes = (uint32_t)big_endian(head + 16, 4);
		if (bytes > sizeof data || !get(fd, data, bytes))
			break;
		if (type == REPLY_ACK)
			return 0;
		if ((type & REPLY_ERROR) != 0)
			return attach_helper_fail(d, ECONNREFUSED, "%s: %.*s", d->socket,
						  (int)bytes, (const char *)data);
		if (type == REPLY_INFO)
			take_info(data, bytes, e);
	}
	return attach_helper_fail(d, EPROTO, "%s does not answer", d->socket);
}

int attach_export_open(struct attach_disk *d, struct attach_export *e)
{
	const int fd = connect_socket(d);
	int rc;

	if (fd < 0)
		return fd;
	*e = (struct attach_export){ 0 };
	rc = ask(d, fd) ? answer(d, fd, e) :
			  attach_helper_fail(d, EPROTO, "%s does not answer", d->socket);
	if (rc < 0) {
		close(fd);
		return rc;
	}
	if (e->sector_bytes < SECTOR_BYTES)
		e->sector_bytes = SECTOR_BYTES;
	if (e->sector_bytes > SECTOR_BYTES_MAX)
		e->sector_bytes = SECTOR_BYTES_MAX;
	return fd;
}

int attach_export_ask(struct attach_disk *d, struct attach_export *e)
{
	const int fd = attach_export_open(d, e);

	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}
