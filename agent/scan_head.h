/* scan_head.h - a writelog's superblock in words, for `hamirror scan`. */
#ifndef AGENT_SCAN_HEAD_H
#define AGENT_SCAN_HEAD_H

#include <stdbool.h>
#include <stdio.h>

#include "agent/log_file.h"
#include "mirror/log/map.h"

void agent_scan_head_text(const struct agent_log_file *file, const struct mirror_map *map,
			  const char *path, bool in_use, FILE *out);

/* An object without its closing brace: more members follow. */
void agent_scan_head_json(const struct agent_log_file *file, const struct mirror_map *map,
			  const char *path, bool in_use, FILE *out);

#endif
