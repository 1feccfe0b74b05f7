/* words.h - states, roles and identities as users see and write them. */
#ifndef AGENT_WORDS_H
#define AGENT_WORDS_H

#include <jansson.h>

#include "cluster/cluster.h"
#include "common/config.h"
#include "common/fact.h"
#include "common/identity.h"

const char *agent_data_text(enum data_state data);
const char *agent_link_text(enum link_state link);
const char *agent_role_text(enum cluster_site_role role);
const char *agent_mode_text(enum config_mode mode);

/* Of an enum generation_reason; "" for any other number. */
const char *agent_reason_text(uint32_t reason);

#define AGENT_UUID_TEXT_BYTES 37

/* As 8-4-4-4-12 hex digits in `text` (AGENT_UUID_TEXT_BYTES). */
void agent_uuid_format(const struct uuid *uuid, char *text);

/* Returns 0, or -EINVAL: `text` is no uuid; `uuid` is then undefined. */
int agent_uuid_parse(const char *text, struct uuid *uuid);

/* A JSON string. A text that was cut inside a character is not UTF-8 any more; each
 * byte of it that is not ASCII then becomes "?". */
json_t *agent_text_json(const char *text);

#endif
