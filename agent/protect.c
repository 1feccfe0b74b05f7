/* protect.c - see protect.h. */
#include "agent/protect.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "agent/files.h"

#define OOM_PATH "/proc/self/oom_score_adj"
#define OOM_SCORE "-1000"

const struct agent_protection_words *agent_protection_words(uint32_t id)
{
	static const struct agent_protection_words words[] = {
		[AGENT_PROTECT_MEMORY_LOCK] = {
			.name = "memory-lock",
			.asked = "locked",
			.danger = "this process may wait for pages of its own that were "
				  "swapped out",
			.need = "CAP_IPC_LOCK or LimitMEMLOCK=infinity",
		},
		[AGENT_PROTECT_IO_FLUSHER] = {
			.name = "io-flusher",
			.asked = "on",
			.danger = "the kernel may have this process wait for writes that it "
				  "is to take itself: all stands still then, for good",
			.need = "CAP_SYS_RESOURCE",
		},
		[AGENT_PROTECT_OOM_SCORE] = {
			.name = "oom-score",
			.asked = OOM_SCORE,
			.danger = "the kernel may kill this process to get some",
			.need = "CAP_SYS_RESOURCE or OOMScoreAdjust=" OOM_SCORE,
		},
		[AGENT_PROTECT_POOL] = {
			.name = "pool",
			.asked = "in memory",
			.danger = "writes may wait until there is room for their data",
			.need = "Linux 5.14, and as much free memory as `memory` says",
		},
	};

	return &words[id];
}

static void note(struct agent_protection *p, int error, const char *got)
{
	p->tried = true;
	p->error = error;
	snprintf(p->got, sizeof p->got, "%s", got);
}

/* Pages are locked on their first use, so the unused parts of libraries and the pool of a
 * mirror that serves nothing cost no memory; agent_io_populate() takes the pool and the
 * engine's tables before clients write. */
static void lock_memory(struct agent_protection *p)
{
	const bool good = mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) == 0;

	note(p, good ? 0 : errno, good ? "locked" : "not locked");
}

int agent_protect_io_flusher(void)
{
	return prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0) == 0 ? 0 : -errno;
}

static void become_flusher(struct agent_protection *p)
{
	const int rc = agent_protect_io_flusher();

	note(p, -rc, rc == 0 ? "on" : "off");
}

static void escape_killer(struct agent_protection *p)
{
	const int fd = open(OOM_PATH, O_WRONLY | O_CLOEXEC);
	const bool good = fd >= 0 && write(fd, OOM_SCORE, sizeof OOM_SCORE - 1) ==
					     sizeof OOM_SCORE - 1;
	const int error = good ? 0 : errno;
	char score[16];

	if (fd >= 0)
		close(fd);
	/* A service manager may have set it. */
	agent_text_read(OOM_PATH, score, sizeof score);
	score[strcspn(score, "\n")] = '\0';
	note(p, strcmp(score, OOM_SCORE) == 0 ? 0 : error, score);
}

void agent_protect(struct agent_protection *list)
{
	for (uint32_t i = 0; i < AGENT_PROTECTION_COUNT; i++)
		list[i] = (struct agent_protection){ 0 };
	lock_memory(&list[AGENT_PROTECT_MEMORY_LOCK]);
	become_flusher(&list[AGENT_PROTECT_IO_FLUSHER]);
	escape_killer(&list[AGENT_PROTECT_OOM_SCORE]);
}

void agent_protect_pool(struct agent_protection *list, int error)
{
	note(&list[AGENT_PROTECT_POOL], -error,
	     error == 0 ? "in memory" : "at first use");
}

bool agent_protection_is_missing(const struct agent_protection *p)
{
	return p->tried && p->error != 0;
}
