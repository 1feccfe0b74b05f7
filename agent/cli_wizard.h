/* cli_wizard.h - `hamirror config wizard`: its answers, and the file that they make. */
#ifndef AGENT_CLI_WIZARD_H
#define AGENT_CLI_WIZARD_H

#include <limits.h>
#include <stdio.h>

#include "agent/cli.h"

#define WIZARD_MAX 512 /* of an answer, with its final 0; a path is shorter */

/* Answers as they were given; "": not yet. */
struct wizard_site {
	char name[WIZARD_MAX], location[WIZARD_MAX], hosts[WIZARD_MAX];
	char writelog[WIZARD_MAX];
	char disk[CONFIG_DISK_COUNT_MAX][WIZARD_MAX]; /* paths, in the order of `disks` */
	uint64_t disk_bytes[CONFIG_DISK_COUNT_MAX];   /* 0: it is not on this machine */
};

struct wizard {
	const struct cli_arguments *a;
	struct agent_instance instance;
	char path[PATH_MAX]; /* of the file that is to be */

	char cluster[WIZARD_MAX], mode[WIZARD_MAX], records[WIZARD_MAX], port[WIZARD_MAX];
	char count[WIZARD_MAX];                        /* of sites ... */
	uint32_t site_count;                           /* ... as a number */
	char disks[WIZARD_MAX], witnesses[WIZARD_MAX]; /* lists */
	struct wizard_site site[CONFIG_SITE_COUNT_MAX];
	char address[CONFIG_NODE_COUNT_MAX][WIZARD_MAX]; /* in the order of `config` */

	uint32_t at_site, at_disk;    /* of the question */
	struct config *config;        /* of the newest draft that was valid */
	struct config *spare;         /* where the next one is read into */
	struct config_errors *errors; /* of the newest draft */
};

/* Print the file of these answers, and stand-ins for those that are not given yet. */
void wizard_print(const struct wizard *w, FILE *out);

/* Ask, and write the file. */
enum cli_exit cli_wizard(const struct cli_arguments *a);

#endif
