/* config_write.h - change the file of a mirror, keeping what people wrote around. */
#ifndef AGENT_CONFIG_WRITE_H
#define AGENT_CONFIG_WRITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The text of a file with `key` set to `value`, which is YAML as it would stand there. `key` is
 * one of the top level, or KEY.KEY one below. A comment behind the value stays. A key that is
 * not there is added, at the end or below its parent. Returns a new text, or NULL with a
 * sentence in `why`: the value there fills more than one line, or lies in {...}. */
char *config_text_set(const char *text, const char *key, const char *value, char *why,
		      size_t why_size);

/* The text of a file with item `index` of the list `key`, of the top level, being `item`: lines of
 * YAML that begin with "- ", without an indent. The index behind the last item adds one. NULL
 * takes the item out, and the list with its last one. Comments between items stay. Returns a
 * new text, or NULL with a sentence in `why`. Lines are counted, not YAML: whoever writes the
 * text looks first whether it says what is meant. */
char *config_text_set_item(const char *text, const char *key, uint32_t index,
			   const char *item, char *why, size_t why_size);

/* Read a file of at most CONFIG_FILE_BYTES_MAX; a new text. NULL: -errno in `*error`. */
char *config_file_read(const char *path, int *error);

/* A new file beside `path` with this text, the owner and the mode of `path` where that is
 * there; its name goes to `draft` (PATH_MAX). Returns 0 or -errno: nothing is left. */
int config_draft_write(const char *path, const char *text, char *draft);

/* Let the draft take the place of `path`, durably: a reader sees the old file or the new one.
 * Without `replace` there must be none. `was`, where it is not NULL, is what the file has to say
 * still; between that look and the change no other process or thread comes that changes the
 * file by this. Waits for those, 10 seconds. Returns 0; -ESTALE: it says something else;
 * -ETIMEDOUT: another process does not end its change; or -errno: `path` is as it was, and a
 * sentence in `why` says so, with the process and what to do. */
int config_draft_accept(const char *path, const char *draft, const char *was,
			bool replace, char *why, size_t why_size);

#endif
