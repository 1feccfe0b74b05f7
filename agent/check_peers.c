/* check_peers.c - the checklist: the other hosts, over the line.
 *
 * A packet of full size is a datagram to the line's port number: nothing listens there, so the
 * other host's kernel says so, and has got it whole (it must not be cut on the way). A small
 * one first shows whether a firewall lets us hear that.
 */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/check.h"
#include "agent/device_info.h"
#include "agent/json_path.h"
#include "agent/probe.h"
#include "common/config_difference.h"

#define TEXT_MAX 1024
#define TRY_COUNT 4 /* the other kernel answers about once a second */
#define TRY_MS 1100
#define DATAGRAM_BYTES_MAX 65507
#define SMALL_BYTES 32
#define OVERHEAD_IPV4 28 /* headers of IP and UDP */
#define OVERHEAD_IPV6 48

/* ---- packets of full size -------------------------------------------------- */

/* A socket that never lets its packets be cut; `overhead` of each. */
static int datagram_socket(const struct config_node *peer, int *overhead)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_DGRAM };
	struct addrinfo *list = NULL;
	char service[8];
	const int whole = IP_PMTUDISC_DO; /* IPV6_PMTUDISC_DO is the same */
	int fd = -1;

	snprintf(service, sizeof service, "%u", peer->port);
	if (getaddrinfo(peer->address, service, &hints, &list) != 0)
		return -1;
	for (const struct addrinfo *a = list; a != NULL && fd < 0; a = a->ai_next) {
		const bool six = a->ai_family == AF_INET6;

		fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, 0);
		*overhead = six ? OVERHEAD_IPV6 : OVERHEAD_IPV4;
		if (fd >= 0 && (setsockopt(fd, six ? IPPROTO_IPV6 : IPPROTO_IP,
					   six ? IPV6_MTU_DISCOVER : IP_MTU_DISCOVER,
					   &whole, sizeof whole) != 0 ||
				connect(fd, a->ai_addr, a->ai_addrlen) != 0)) {
			close(fd);
			fd = -1;
		}
	}
	freeaddrinfo(list);
	return fd;
}

static int path_mtu(int fd, int overhead)
{
	socklen_t length = sizeof(int);
	int mtu = 0;

	if (getsockopt(fd, overhead == OVERHEAD_IPV6 ? IPPROTO_IPV6 : IPPROTO_IP,
		       overhead == OVERHEAD_IPV6 ? IPV6_MTU : IP_MTU, &mtu, &length) != 0)
		return 0;
	return mtu > DATAGRAM_BYTES_MAX + overhead ? DATAGRAM_BYTES_MAX + overhead : mtu;
}

/* Has the other host got a datagram of so many bytes? 1; 0: no answer; -EMSGSIZE: too large
 * for the way. */
static int arrives(int fd, int bytes)
{
	static const char zero[DATAGRAM_BYTES_MAX];
	struct pollfd answer = { .fd = fd, .events = POLLIN };
	char byte;

	for (int i = 0; i < TRY_COUNT; i++) {
		if (send(fd, zero, (size_t)bytes, 0) < 0 && errno != ECONNREFUSED)
			return errno == EMSGSIZE ? -EMSGSIZE : 0;
		if (poll(&answer, 1, TRY_MS) == 1 && recv(fd, &byte, 1, 0) < 0 &&
		    errno == ECONNREFUSED)
			return 1;
	}
	return 0;
}

static void check_mtu(struct agent_check *c, const struct config_node *peer)
{
	int overhead = 0, mtu, arrived;
	const int fd = datagram_socket(peer, &overhead);

	if (fd < 0 || arrives(fd, SMALL_BYTES) != 1) {
		agent_check_add(c, "mtu", CHECK_UNKNOWN,
				"%s answers no datagrams (a firewall?): try `ping -M do "
				"-s SIZE %s` with the MTU less 28",
				peer->name, peer->address);
		if (fd >= 0)
			close(fd);
		return;
	}
	mtu = path_mtu(fd, overhead);
	arrived = arrives(fd, mtu - overhead);
	if (arrived == 1)
		agent_check_add(c, "mtu", CHECK_OK, "packets of %d bytes reach %s whole",
				mtu, peer->name);
	else if (arrived == -EMSGSIZE)
		agent_check_add(
			c, "mtu", CHECK_DO,
			"packets of %d bytes are too large on the way to %s, which "
			"takes %d: give all interfaces on it the same MTU",
			mtu, peer->name, path_mtu(fd, overhead));
	else
		agent_check_add(
			c, "mtu", CHECK_DO,
			"packets of %d bytes get lost on the way to %s, and small "
			"ones do not: give all interfaces on it the same MTU",
			mtu, peer->name);
	close(fd);
}

/* ---- what the other host says ---------------------------------------------- */

/* The disks of our site as a hello lists them. */
static bool own_disks(const struct agent_check *c, struct mirror_disk_table *table)
{
	const struct config_site *site = &c->config->site[c->config->node[c->node].site];
	bool all = true;

	table->count = site->disk_count;
	for (uint32_t d = 0; d < site->disk_count; d++) {
		struct mirror_disk *disk = &table->entry[d];
		json_t *o = agent_device_info(site->disk[d].name, site->disk[d].path);
		json_t *block = json_object_get(o, "logical_block");

		snprintf(disk->name, sizeof disk->name, "%s", site->disk[d].name);
		disk->size_bytes = (uint64_t)json_integer_value(
			json_object_get(o, "bytes"));
		disk->sector_bytes = json_is_integer(block) ?
					     (uint32_t)json_integer_value(block) :
					     512;
		all = all && json_is_true(json_object_get(o, "reachable"));
		json_decref(o);
	}
	return all;
}

static void check_sizes(struct agent_check *c, const struct config_node *peer,
			const struct mirror_hello *hello)
{
	struct mirror_disk_table *own = calloc(1, sizeof *own);
	const char *site = json_string_value(
		json_object_get(json_object_get(c->status, "production"), "site"));
	const bool they_produce = hello->serving ||
				  (site != NULL &&
				   strcmp(site, c->config->site[peer->site].name) == 0);
	char text[TEXT_MAX];

	if (own == NULL || !own_disks(c, own))
		agent_check_add(c, "size", CHECK_UNKNOWN,
				"a disk of this host cannot be looked at");
	else if (mirror_hello_check_disks(they_produce ? &hello->disks : own,
					  they_produce ? own : &hello->disks, text,
					  sizeof text) != 0)
		agent_check_add(c, "size", CHECK_DO, "%s", text);
	else
		agent_check_add(c, "size", CHECK_OK, "the disks here and at %s fit",
				peer->name);
	free(own);
}

static void check_answer(struct agent_check *c, const struct config_node *peer,
			 const struct mirror_hello *hello)
{
	char text[TEXT_MAX];

	agent_check_add(c, "version", CHECK_OK, "%s speaks version %u of the line",
			peer->name, hello->version_max);
	if (hello->config_hash == c->config->hash) {
		agent_check_add(c, "file", CHECK_OK, "that of %s agrees with ours",
				peer->name);
	} else {
		config_difference(peer->name, hello->agreed,
				  c->config->node[c->node].name, c->config->agreed, text,
				  sizeof text);
		agent_check_add(c, "file", CHECK_DO, "%s: make the files alike", text);
	}
	if (peer->site != c->config->node[c->node].site)
		check_sizes(c, peer, hello);
}

/* Its devices are not open. A member has the same file: no other is let in. */
static void check_closed(struct agent_check *c, const struct config_node *peer)
{
	json_t *node = agent_json_named(json_object_get(c->status, "nodes"), peer->name);

	if (c->config->cluster && json_is_true(json_object_get(node, "member")))
		agent_check_add(c, "file", CHECK_OK, "%s is a member, so its file agrees",
				peer->name);
	else
		agent_check_add(c, "file", CHECK_UNKNOWN,
				"%s has no disks open, and does not tell of its file and "
				"disks: run the check there",
				peer->name);
}

static void check_peer(struct agent_check *c, uint32_t n)
{
	const struct config_node *peer = &c->config->node[n];
	struct mirror_hello *hello = calloc(1, sizeof *hello);
	char text[TEXT_MAX] = "no memory";
	int error = -ENOMEM;

	if (hello != NULL)
		error = agent_probe(c->config, c->node, n, hello, text, sizeof text);
	if (error == -EHOSTDOWN)
		agent_check_add(c, "port", CHECK_DO, "%s", text);
	else if (error != -ENOMEM)
		agent_check_add(c, "port", CHECK_OK, "%s answers at %s:%u", peer->name,
				peer->address, peer->port);
	if (error == 0)
		check_answer(c, peer, hello);
	else if (error == -EAGAIN)
		check_closed(c, peer);
	else if (error == -EREMOTEIO || error == -EPROTO)
		agent_check_add(c, "version", CHECK_DO, "%s", text);
	check_mtu(c, peer);
	free(hello);
}

void agent_check_peers(struct agent_check *c)
{
	if (c->config->node[c->node].site < 0) {
		agent_check_add(c, "port", CHECK_UNKNOWN,
				"a witness has no line to the hosts: run the check on a "
				"host too");
		return;
	}
	for (uint32_t n = 0; n < c->config->node_count; n++)
		if (n != c->node && c->config->node[n].site >= 0)
			check_peer(c, n);
}
