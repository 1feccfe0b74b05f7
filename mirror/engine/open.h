/* engine/open.h - opening a site: see engine/open.c. */
#ifndef MIRROR_ENGINE_OPEN_H
#define MIRROR_ENGINE_OPEN_H

#include <stdbool.h>
#include <stdint.h>

#include "common/fact.h"
#include "mirror/io.h"

struct mirror_engine;
struct order;

enum open_step {
	OPEN_DEVICES,
	OPEN_STABLE,
	OPEN_SUPERBLOCK,
	OPEN_MAPS,
	OPEN_SCAN,
	OPEN_DISKS,
	OPEN_WRITE,
	OPEN_WRITE_BOTH,
	OPEN_MARK,
	OPEN_FLUSH,
	OPEN_DONE,
};

struct engine_opening {
	uint64_t order_id;
	enum open_step step;
	bool found;
	bool devices_asked; /* the driver has not answered yet */
	uint64_t devices_asked_ns;
	int32_t error; /* why it was given up; 0: it was not */
	char text[FACT_TEXT_MAX];
	uint64_t ticket;
	uint64_t scan_since_ns;
	struct mirror_io io;
	struct iovec iov;
	uint32_t map_site;
	uint64_t map_block;
};

void mirror_open_order(struct mirror_engine *m, const struct order *o);
void mirror_open_devices(struct mirror_engine *m, const struct mirror_devices *d);
void mirror_open_pump(struct mirror_engine *m);
void mirror_open_io(struct mirror_engine *m, struct mirror_io *io);
/* Say why the open was given up, if it was: the devices are closed. */
void mirror_open_refused(struct mirror_engine *m);

#endif
