/* engine/store.h - the superblock as it should be there, and its one writer.
 *
 * All parts read it; only the functions below change it, each named by its intent
 * (samples of the disks: engine/same_disks.h). A change counts once it is durable: the part
 * that made it asks for a ticket (want) and waits until the log device has it.
 */
#ifndef MIRROR_ENGINE_STORE_H
#define MIRROR_ENGINE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mirror/io.h"
#include "mirror/log/superblock.h"

struct mirror_engine;

struct engine_superblock_writer {
	uint64_t wanted, writing, written; /* tickets */
	bool busy;
	uint64_t tail_position; /* in the one being written ... */
	uint64_t proves;        /* ... and the durable mark in it */
	struct mirror_io io;
	struct iovec iov;
};

/* A ticket for the superblock as it is now, which will be written. */
uint64_t mirror_superblock_want(struct mirror_engine *m);
bool mirror_superblock_has(const struct mirror_engine *m, uint64_t ticket);
void mirror_superblock_pump(struct mirror_engine *m);
void mirror_superblock_io(struct mirror_engine *m, struct mirror_io *io);
/* Records beyond `sequence` are gone: the one being written proves no more than that. */
void mirror_superblock_proves(struct mirror_engine *m, uint64_t sequence);

/* ---- the superblock to be stored --- */

/* The better one of the two in `area`, read from the log device, is this open's.
 * Returns as mirror_superblock_choose(). */
int mirror_store_take(struct mirror_engine *m, const uint8_t *area, char *text,
		      size_t size);
/* This open's process has it. */
void mirror_store_incarnation(struct mirror_engine *m);
void mirror_store_next_epoch(struct mirror_engine *m);
/* The log goes on after `sequence`, at `position`, under a new epoch. Returns as
 * mirror_superblock_restart(). */
int mirror_store_restart(struct mirror_engine *m, uint64_t position, uint64_t sequence);

void mirror_store_history(struct mirror_engine *m, const struct history *history);
/* D4: only this generation's hello, or a later one's, is accepted. */
void mirror_store_refusal(struct mirror_engine *m, const struct uuid *generation,
			  uint64_t ballot);
void mirror_store_no_refusal(struct mirror_engine *m);
/* The generation ended cleanly, after `sequence`. */
void mirror_store_clean(struct mirror_engine *m, const struct uuid *generation,
			uint64_t sequence);
/* A generation begins or goes on here: no clean end, and no site it was handed to. */
void mirror_store_not_clean(struct mirror_engine *m);
void mirror_store_handed_over(struct mirror_engine *m, bool handed_over);

/* W6: a refresh begins. Records from now on, at `position` of the ring, count when it has
 * ended; without `hold` the disks are a mixture until then. */
void mirror_store_hold(struct mirror_engine *m, uint64_t position, bool hold);
/* It has ended, or was cut short. */
void mirror_store_hold_ends(struct mirror_engine *m);
/* The disks hold an image. */
void mirror_store_whole(struct mirror_engine *m);

/* The map of `site` stands for all up to `sequence`, if it does not for more. */
void mirror_store_map_position(struct mirror_engine *m, uint32_t site, uint64_t sequence);
/* No map stands for records beyond `sequence`, the last one. Of abandoned records it may
 * hold more than is missed, and it has not seen the records that will get their
 * sequences. */
void mirror_store_maps_limit(struct mirror_engine *m, uint64_t sequence);
/* `site` misses nothing: its map is empty, under a new epoch. Returns that. */
uint64_t mirror_store_map_new(struct mirror_engine *m, uint32_t site);
/* `site` misses everything that is durable here. */
void mirror_store_map_all(struct mirror_engine *m, uint32_t site);
/* ... and each bit of its map is set by now: the map stands for all records at home. */
void mirror_store_map_filled(struct mirror_engine *m, uint32_t site);
/* `site` misses the extents of its map in any case. */
void mirror_store_map_due(struct mirror_engine *m, uint32_t site);

/* `cluster: none`: writes wait for the site; the operator put it out. */
void mirror_store_current(struct mirror_engine *m, uint32_t site, bool current);
void mirror_store_disconnected(struct mirror_engine *m, uint32_t site, bool disconnected,
			       bool bypass);
void mirror_store_sector(struct mirror_engine *m, uint32_t disk, uint32_t bytes);

#endif
