/* engine_marks.h - how far this site has come, each as one sequence: stamped, in a log
 * write, logged, durable, proven, at home, flushed there. */
#ifndef MIRROR_ENGINE_MARKS_H
#define MIRROR_ENGINE_MARKS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/config.h"

struct mirror_engine;

struct engine_marks {
	uint64_t last, generation, group, time_ns; /* of the last record */
	uint64_t disk[CONFIG_DISK_COUNT_MAX];      /* its sequence by disk */
	uint64_t next_to_log;
	uint64_t logged, durable;
	uint64_t proven;       /* a mark that is durable says: up to here (W1) */
	uint64_t home;         /* all up to here: at home ... */
	uint64_t home_flushed; /* ... and flushed there */
};

#endif
