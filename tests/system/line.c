/* line.c - a line between two network namespaces, as long and as narrow as told.
 *
 *   line NETNS_A NETNS_B [KEY=VALUE...]
 *   line --bridge BRIDGE_A BRIDGE_B [KEY=VALUE...]
 *
 * NETNS is a path, such as /proc/PID/ns/net. Each gets a device `line0`, with the address
 * 10.78.0.1 in A and 10.78.0.2 in B; IP packets go from one to the other. With --bridge,
 * Ethernet frames go from one bridge of this namespace to the other, through devices
 * `lineA` and `lineB`. Keys, each way unless `a.` (A sends) or `b.` stands before it:
 *
 *   delay=MS  jitter=MS  rate=KBIT  loss=PERCENT  queue=PACKETS
 *
 * It prints `ready` when packets flow; the end of standard input ends it. Packets of one
 * way stay in order. A packet that finds its queue full is dropped.
 *
 * Like the kernel's netem, which not every kernel has. Source: tun_tap (kernel
 * documentation), setns(2). */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <arpa/inet.h>
#include <time.h>
#include <unistd.h>

#define MTU 1500
#define FRAME_MAX (MTU + 18) /* Ethernet's header, and a VLAN tag */
#define QUEUE_MAX 65536
#define MS 1000000.0

struct packet {
	uint64_t due_ns;
	uint32_t bytes;
	uint8_t *data;
};

/* One way: a queue of packets, in the order of their dues. */
struct way {
	int from, to;
	double delay_ms, jitter_ms, rate_kbit, loss_percent, queue_packets;
	uint64_t sent_ns; /* the narrow place is busy until then */
	uint64_t last_due_ns;
	struct packet queue[QUEUE_MAX];
	uint32_t first, count;
};

static struct way way[2];

static _Noreturn void give_up(const char *what)
{
	fprintf(stderr, "line: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* ---- the devices ----------------------------------------------------------------- */

static void set_address(struct ifreq *r, int fd, unsigned long request, const char *text)
{
	struct sockaddr_in a = { .sin_family = AF_INET };

	inet_pton(AF_INET, text, &a.sin_addr);
	memcpy(&r->ifr_addr, &a, sizeof a);
	if (ioctl(fd, request, r) != 0)
		give_up(text);
}

/* A device of `type` in this thread's namespace; *fd is a socket to set it up with. */
static int make_device(struct ifreq *r, const char *name, short type, int *fd)
{
	const int device = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);

	*r = (struct ifreq){ .ifr_flags = (short)(type | IFF_NO_PI) };
	*fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	snprintf(r->ifr_name, sizeof r->ifr_name, "%s", name);
	if (device < 0 || *fd < 0 || ioctl(device, TUNSETIFF, r) != 0)
		give_up("/dev/net/tun");
	return device;
}

static void start_device(struct ifreq *r, int fd)
{
	r->ifr_flags = IFF_UP | IFF_RUNNING;
	if (ioctl(fd, SIOCSIFFLAGS, r) != 0)
		give_up("IFF_UP");
	close(fd);
}

/* A device of the namespace; this thread stays in it. */
static int open_device(const char *netns, const char *address)
{
	const int space = open(netns, O_RDONLY | O_CLOEXEC);
	struct ifreq r;
	int device, fd;

	if (space < 0 || setns(space, CLONE_NEWNET) != 0)
		give_up(netns);
	close(space);
	device = make_device(&r, "line0", IFF_TUN, &fd);
	set_address(&r, fd, SIOCSIFADDR, address);
	set_address(&r, fd, SIOCSIFNETMASK, "255.255.255.0");
	r.ifr_mtu = MTU;
	if (ioctl(fd, SIOCSIFMTU, &r) != 0)
		give_up("MTU");
	start_device(&r, fd);
	return device;
}

/* A port of the bridge. */
static int open_port(const char *bridge, const char *name)
{
	struct ifreq r, of_bridge = { .ifr_flags = 0 };
	int device, fd;

	device = make_device(&r, name, IFF_TAP, &fd);
	snprintf(of_bridge.ifr_name, sizeof of_bridge.ifr_name, "%s", bridge);
	of_bridge.ifr_ifindex = (int)if_nametoindex(name);
	if (ioctl(fd, SIOCBRADDIF, &of_bridge) != 0)
		give_up(bridge);
	start_device(&r, fd);
	return device;
}

/* ---- the keys ---------------------------------------------------------------------- */

static double *value_of(struct way *w, const char *key)
{
	const struct {
		const char *name;
		double *value;
	} keys[] = {
		{ "delay", &w->delay_ms },      { "jitter", &w->jitter_ms },
		{ "rate", &w->rate_kbit },      { "loss", &w->loss_percent },
		{ "queue", &w->queue_packets },
	};

	for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
		if (strcmp(keys[i].name, key) == 0)
			return keys[i].value;
	}
	return NULL;
}

static bool set_one(struct way *w, const char *key, const char *text)
{
	double *value = value_of(w, key);
	char *end;
	const double number = strtod(text, &end);

	if (value == NULL || end == text || *end != '\0' || !(number >= 0) ||
	    (value == &w->queue_packets && (number < 1 || number > QUEUE_MAX)))
		return false;
	*value = number;
	return true;
}

/* KEY=VALUE, a.KEY=VALUE or b.KEY=VALUE */
static void set(char *word)
{
	char *value = strchr(word, '=');
	bool good = value != NULL;

	if (good)
		*value++ = '\0';
	for (int i = 0; i < 2 && good; i++) {
		const bool one_way = word[0] != '\0' && word[1] == '.';

		if (!one_way || word[0] == 'a' + i)
			good = set_one(&way[i], one_way ? word + 2 : word, value);
	}
	if (!good) {
		fprintf(stderr, "line: %s: no such key, or no number for it\n", word);
		exit(2);
	}
}

/* ---- the packets -------------------------------------------------------------------- */

static uint64_t due(struct way *w, uint32_t bytes)
{
	const uint64_t now = now_ns();
	uint64_t at = now > w->sent_ns ? now : w->sent_ns;

	if (w->rate_kbit > 0)
		at += (uint64_t)(bytes * 8 * MS / w->rate_kbit);
	w->sent_ns = at;
	at += (uint64_t)((w->delay_ms + w->jitter_ms * drand48()) * MS);
	if (at < w->last_due_ns)
		at = w->last_due_ns;
	w->last_due_ns = at;
	return at;
}

static void take_packets(struct way *w)
{
	uint8_t data[FRAME_MAX];
	struct packet *p;
	ssize_t n;

	while ((n = read(w->from, data, sizeof data)) > 0) {
		if (w->count >= (uint32_t)w->queue_packets ||
		    drand48() * 100 < w->loss_percent)
			continue;
		p = &w->queue[(w->first + w->count++) % QUEUE_MAX];
		p->data = malloc((size_t)n);
		if (p->data == NULL)
			give_up("malloc");
		memcpy(p->data, data, (size_t)n);
		p->bytes = (uint32_t)n;
		p->due_ns = due(w, p->bytes);
	}
	if (n < 0 && errno != EAGAIN)
		give_up("read");
}

/* Deliver the packets that are due. Returns the time until the next one is. */
static uint64_t deliver(struct way *w, uint64_t wait_ns)
{
	while (w->count > 0) {
		struct packet *p = &w->queue[w->first];
		const uint64_t now = now_ns();

		if (p->due_ns > now)
			return p->due_ns - now < wait_ns ? p->due_ns - now : wait_ns;
		if (write(w->to, p->data, p->bytes) < 0 && errno != EAGAIN)
			give_up("write");
		free(p->data);
		w->first = (w->first + 1) % QUEUE_MAX;
		w->count--;
	}
	return wait_ns;
}

static void run(void)
{
	struct pollfd fds[] = {
		{ .fd = way[0].from, .events = POLLIN },
		{ .fd = way[1].from, .events = POLLIN },
		{ .fd = STDIN_FILENO, .events = POLLIN },
	};

	while (fds[2].revents == 0) {
		uint64_t wait_ns = 1000000000;
		struct timespec wait;

		for (int i = 0; i < 2; i++)
			take_packets(&way[i]);
		for (int i = 0; i < 2; i++)
			wait_ns = deliver(&way[i], wait_ns);
		wait = (struct timespec){ .tv_sec = (time_t)(wait_ns / 1000000000),
					  .tv_nsec = (long)(wait_ns % 1000000000) };
		if (ppoll(fds, 3, &wait, NULL) < 0 && errno != EINTR)
			give_up("poll");
	}
}

int main(int argc, char **argv)
{
	const bool bridges = argc > 1 && strcmp(argv[1], "--bridge") == 0;
	char **ends = argv + (bridges ? 2 : 1);

	if (argc < (bridges ? 4 : 3)) {
		fprintf(stderr,
			"usage: line NETNS_A NETNS_B [KEY=VALUE...]\n"
			"       line --bridge BRIDGE_A BRIDGE_B [KEY=VALUE...]\n");
		return 2;
	}
	way[0].queue_packets = way[1].queue_packets = 10000;
	for (char **word = ends + 2; *word != NULL; word++)
		set(*word);
	way[0].from = way[1].to = bridges ? open_port(ends[0], "lineA") :
					    open_device(ends[0], "10.78.0.1");
	way[1].from = way[0].to = bridges ? open_port(ends[1], "lineB") :
					    open_device(ends[1], "10.78.0.2");
	puts("ready");
	fflush(stdout);
	run();
	return 0;
}
