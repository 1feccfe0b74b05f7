/* self.c - see self.h. */
#include "agent/self.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "agent/files.h"

#define FNV_OFFSET 14695981039346656037ull
#define FNV_PRIME 1099511628211ull
#define STAT_START_FIELD 22 /* proc(5): starttime, in ticks since the boot */

/* FNV-1a. */
static uint64_t hash(uint64_t h, const char *text)
{
	for (; *text != '\0'; text++)
		h = (h ^ (unsigned char)*text) * FNV_PRIME;
	return h;
}

/* The field is counted from the end of the command's name, which may hold blanks
 * and parentheses: field 3 comes after the last ")". */
static const char *start_field(char *stat)
{
	char *at = strrchr(stat, ')');

	for (int field = 2; at != NULL && field < STAT_START_FIELD; field++) {
		at = strchr(at, ' ');
		at = at == NULL ? NULL : at + 1;
	}
	if (at != NULL)
		at[strcspn(at, " \n")] = '\0';
	return at;
}

/* A number for this boot of this machine. Containers share the kernel's boot_id and
 * may still "boot" on their own, so the start of process 1 and its pid namespace
 * are mixed in. Returns 0, or -errno when /proc does not tell it. */
static int boot_get(uint64_t *boot)
{
	char id[64], stat[1024], space[64];
	const char *start;
	ssize_t n;
	int error = agent_text_read("/proc/sys/kernel/random/boot_id", id, sizeof id);

	if (error == 0)
		error = agent_text_read("/proc/1/stat", stat, sizeof stat);
	if (error != 0)
		return error;
	start = start_field(stat);
	n = readlink("/proc/self/ns/pid", space, sizeof space - 1);
	if (start == NULL || n < 0)
		return -ENODATA;
	space[n] = '\0';
	*boot = hash(hash(hash(FNV_OFFSET, id), start), space);
	return 0;
}

int agent_self_fill(struct cluster_self *self, char *text, size_t text_size)
{
	int error = boot_get(&self->boot);

	if (error != 0) {
		snprintf(text, text_size,
			 "this boot cannot be told from others: /proc: %s",
			 strerror(-error));
		return error;
	}
	if (getrandom(&self->incarnation, sizeof self->incarnation, 0) !=
		    (ssize_t)sizeof self->incarnation ||
	    getrandom(self->random, sizeof self->random, 0) !=
		    (ssize_t)sizeof self->random) {
		snprintf(text, text_size, "the kernel gives no random numbers: %s",
			 strerror(errno));
		return -errno;
	}
	self->incarnation |= 1; /* 0 means none */
	self->pid = (uint32_t)getpid();
	return 0;
}

int agent_uuid_make(struct uuid *uuid)
{
	if (getrandom(uuid->byte, sizeof uuid->byte, 0) != (ssize_t)sizeof uuid->byte)
		return -errno;
	uuid->byte[6] = (uint8_t)((uuid->byte[6] & 0x0f) | 0x40);
	uuid->byte[8] = (uint8_t)((uuid->byte[8] & 0x3f) | 0x80);
	return 0;
}
