/* watch_page_state.h - what a message to the page says of the mirrors. */
#ifndef AGENT_WATCH_PAGE_STATE_H
#define AGENT_WATCH_PAGE_STATE_H

#include <jansson.h>
#include <stdint.h>

#include "agent/cli_feed.h"

/* What of a mirror has been told to those who have had each message. */
struct watch_page_told {
	uint32_t state_count, event_next;
};

/* A list: of each mirror its name, and for how long it is silent; its status and its events
 * where they are newer than in `told`, which has one for each, or all where that is NULL. */
json_t *watch_page_state(const struct cli_feed *feed, const struct watch_page_told *told);

#endif
