/* pair_private.h - calls between pair.c, pair_io.c and pair_client.c. */
#ifndef TESTS_UNIT_PAIR_PRIVATE_H
#define TESTS_UNIT_PAIR_PRIVATE_H

#include "tests/unit/pair.h"

void pair_step(struct pair *p, uint32_t site, struct mirror_event *e);

/* pair_io.c: devices and the line */
bool pair_finish_some_io(struct pair *p, uint32_t site);
void pair_tear_io(struct pair *p, uint32_t site, struct mirror_io *io);
void pair_power_cut(struct pair *p, struct pair_device *d);
void pair_connect(struct pair *p, uint32_t site, uint32_t link, uint32_t to);
void pair_hang_up(struct pair *p, uint32_t site, uint32_t link);
void pair_drop_connections(struct pair *p, uint32_t site);
void pair_send(struct pair *p, uint32_t site, struct mirror_frame *f);
bool pair_deliver(struct pair *p);
void pair_sweep(struct pair *p); /* free the connections that are closed at both ends */

/* pair_client.c: a client that knows its promised records */
void pair_make_client(struct pair *p);
void pair_free_client(struct pair *p);
bool pair_submit(struct pair *p);
void pair_answered(struct pair *p, uint32_t site, struct mirror_request *q);
void pair_forget_requests(struct pair *p, uint32_t site);
void pair_cut_journal(struct pair *p, uint64_t cut);
void pair_note_all(struct pair *p);
/* Does the promise allow a promotion that cuts there? */
bool pair_may_cut(const struct pair *p, uint64_t cut);

/* pair_order.c: the writes of each sector, and the legal contents of the bare disks */
void pair_order_make(struct pair *p);
void pair_order_free(struct pair *p);
void pair_order_update(struct pair *p);
void pair_order_cut(struct pair *p, uint64_t cut);
/* Look at the site after a step: from where on do its bare disks count? */
void pair_order_watch(struct pair *p, uint32_t site);
void pair_order_started(struct pair *p, uint32_t site);
/* The sequence of the write that left `number` in a sector; 0: as made. Of zeroes,
 * the newest up to `before`. UINT64_MAX: none did. */
uint64_t pair_order_find(struct pair *p, uint32_t disk, uint64_t sector, uint64_t number,
			 uint64_t before);

#endif
