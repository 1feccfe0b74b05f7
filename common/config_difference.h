/* config_difference.h - name the setting in which two nodes' files differ.
 *
 * Nodes that are not configured alike refuse each other by a hash. It cannot say what differs,
 * so they also tell each other config->agreed: a line "KEY: VALUE" for each setting that all
 * must have alike, cut off at CONFIG_AGREED_BYTES.
 */
#ifndef COMMON_CONFIG_DIFFERENCE_H
#define COMMON_CONFIG_DIFFERENCE_H

#include <stddef.h>

#include "common/bytes.h"
#include "common/config.h"

/* "A has KEY: VALUE, B VALUE" in `text`, of the first line in which `theirs` and `own`
 * differ; `a` names the owner of `theirs`, `b` that of `own`. Both may be cut off, and
 * `theirs` may hold any bytes: unprintable ones become "?". */
void config_difference(const char *a, const char *theirs, const char *b, const char *own,
		       char *text, size_t size);

/* Encode `agreed`: its length in 4 bytes, then the text. */
void config_agreed_put(struct bytes *b, const char *agreed);

/* Take it. A text that is too long makes `b` bad. */
void config_agreed_get(struct bytes *b, char agreed[CONFIG_AGREED_BYTES]);

#endif
