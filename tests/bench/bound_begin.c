/* bound_begin.c - see bound_begin.h. */
#include "tests/bench/bound_begin.h"

#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/nbd.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

_Noreturn void bound_give_up(const char *what)
{
	fprintf(stderr, "bound: %s: %s\n", what, strerror(errno));
	exit(1);
}

uint64_t bound_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

void bound_ring(struct io_uring *ring)
{
	struct io_uring_params params = { .flags = IORING_SETUP_SINGLE_ISSUER |
						   IORING_SETUP_DEFER_TASKRUN |
						   IORING_SETUP_TASKRUN_FLAG |
						   IORING_SETUP_SUBMIT_ALL };
	const int rc = io_uring_queue_init_params(1024, ring, &params);

	if (rc < 0) {
		errno = -rc;
		bound_give_up("io_uring");
	}
	io_uring_register_ring_fd(ring);
}

struct io_uring_sqe *bound_submission(struct io_uring *ring)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);

	while (sqe == NULL) {
		io_uring_submit(ring);
		sqe = io_uring_get_sqe(ring);
	}
	return sqe;
}

bool bound_has_completed(struct io_uring *ring)
{
	if ((*ring->sq.kflags & IORING_SQ_TASKRUN) != 0)
		io_uring_get_events(ring);
	return io_uring_cq_ready(ring) > 0;
}

int bound_open(const char *path, uint64_t *bytes)
{
	const int fd = open(path, O_RDWR | O_DIRECT | O_CLOEXEC);
	const off_t end = fd < 0 ? -1 : lseek(fd, 0, SEEK_END);

	if (end < 0)
		bound_give_up(path);
	*bytes = (uint64_t)end;
	return fd;
}

uint8_t *bound_pages(size_t bytes)
{
	uint8_t *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (at == MAP_FAILED)
		bound_give_up("memory");
	return at;
}

static int listen_on(int family, const void *address, socklen_t bytes)
{
	const int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0), yes = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
	if (bind(fd, address, bytes) != 0 || listen(fd, 8) != 0)
		bound_give_up("listening");
	return fd;
}

int bound_listen_at(const char *path)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };

	snprintf(un.sun_path, sizeof un.sun_path, "%s", path);
	return listen_on(AF_UNIX, &un, sizeof un);
}

static void *be_device(void *fd)
{
	ioctl(*(int *)fd, NBD_DO_IT); /* until it is disconnected */
	bound_give_up("the device");
}

int bound_attach(const char *device, uint64_t bytes)
{
	static int fd;
	pthread_t thread;
	int ends[2];

	fd = open(device, O_RDWR | O_CLOEXEC);
	if (fd < 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0 ||
	    ioctl(fd, NBD_SET_BLKSIZE, 4096ul) != 0 ||
	    ioctl(fd, NBD_SET_SIZE_BLOCKS, (unsigned long)(bytes / 4096)) != 0 ||
	    ioctl(fd, NBD_SET_FLAGS,
		  (unsigned long)(NBD_FLAG_HAS_FLAGS | NBD_FLAG_SEND_FLUSH)) != 0 ||
	    ioctl(fd, NBD_SET_SOCK, (unsigned long)ends[0]) != 0)
		bound_give_up(device);
	errno = pthread_create(&thread, NULL, be_device, &fd);
	if (errno != 0)
		bound_give_up("a thread");
	return ends[1];
}

int bound_connect(const char *place, bool accepts)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	const char *colon = strchr(place, ':'), *port = colon != NULL ? colon + 1 : place;
	char address[INET_ADDRSTRLEN];
	const int yes = 1;
	int fd;

	in.sin_port = htons((uint16_t)strtoul(port, NULL, 10));
	snprintf(address, sizeof address, "%.*s", (int)(port - place) - 1, place);
	if (colon != NULL && inet_pton(AF_INET, address, &in.sin_addr) != 1) {
		errno = EINVAL;
		bound_give_up(place);
	}
	if (accepts) {
		fd = listen_on(AF_INET, &in, sizeof in);
		printf("ready\n");
		fflush(stdout);
		fd = accept(fd, NULL, NULL);
	} else {
		fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (connect(fd, (struct sockaddr *)&in, sizeof in) != 0)
			bound_give_up("the copy");
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
	return fd;
}

void bound_send(int fd, struct iovec *iov, uint32_t count)
{
	struct msghdr m = { .msg_iov = iov, .msg_iovlen = count };

	while (m.msg_iovlen > 0) {
		ssize_t n = sendmsg(fd, &m, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return; /* the stream ends, and says so */
		while (m.msg_iovlen > 0 && (size_t)n >= m.msg_iov->iov_len) {
			n -= (ssize_t)m.msg_iov->iov_len;
			m.msg_iov++;
			m.msg_iovlen--;
		}
		if (m.msg_iovlen > 0) {
			m.msg_iov->iov_base = (uint8_t *)m.msg_iov->iov_base + n;
			m.msg_iov->iov_len -= (size_t)n;
		}
	}
}

#define OPTION_MAGIC 0x49484156454F5054ull
#define OPTION_REPLY_MAGIC 0x3e889045565a9ull

enum { OPTION_ABORT = 2, OPTION_INFO = 6, OPTION_GO = 7 };
enum { REPLY_ACK = 1, REPLY_INFO = 3 };
#define REPLY_UNKNOWN 0x80000001u

/* All of it; false at the end of the connection. */
static bool get(int fd, void *bytes, size_t count)
{
	return recv(fd, bytes, count, MSG_WAITALL) == (ssize_t)count;
}

static void put_option(int fd, uint32_t option, uint32_t type, void *data, uint32_t bytes)
{
	struct __attribute__((packed)) {
		uint64_t magic;
		uint32_t option, type, bytes;
	} head = { htobe64(OPTION_REPLY_MAGIC), htobe32(option), htobe32(type),
		   htobe32(bytes) };
	struct iovec iov[] = { { &head, sizeof head }, { data, bytes } };

	bound_send(fd, iov, 2);
}

bool bound_greet(int fd, uint64_t bytes)
{
	struct __attribute__((packed)) {
		uint64_t magic, option_magic;
		uint16_t flags;
	} hello = { htobe64(0x4e42444d41474943ull), htobe64(OPTION_MAGIC), htobe16(3) };
	struct __attribute__((packed)) {
		uint16_t type;
		uint64_t bytes;
		uint16_t flags;
	} export = { 0, htobe64(bytes), htobe16(1 | 4) }; /* it has flags, and FLUSH */
	struct __attribute__((packed)) {
		uint64_t magic;
		uint32_t option, bytes;
	} head;
	struct iovec iov = { &hello, sizeof hello };
	const int buffer_bytes = 1 << 20;
	uint8_t data[4096];
	uint32_t flags;

	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &buffer_bytes, sizeof buffer_bytes);
	bound_send(fd, &iov, 1);
	if (!get(fd, &flags, sizeof flags))
		return false;
	while (get(fd, &head, sizeof head)) {
		const uint32_t option = be32toh(head.option), rest = be32toh(head.bytes);

		if (rest > sizeof data || (rest > 0 && !get(fd, data, rest)))
			return false;
		if (option != OPTION_GO && option != OPTION_INFO) {
			put_option(fd, option, REPLY_UNKNOWN, NULL, 0);
			continue;
		}
		put_option(fd, option, REPLY_INFO, &export, sizeof export);
		put_option(fd, option, REPLY_ACK, NULL, 0);
		if (option == OPTION_GO)
			return true;
	}
	return false;
}
