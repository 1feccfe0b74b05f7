/* config.h - the configuration of one mirror as plain data. agent/config.c
 * reads it from /etc/hamirror/NAME.yaml; both cores take it as it is. */
#ifndef COMMON_CONFIG_H
#define COMMON_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "common/identity.h"

#define CONFIG_SITE_COUNT_MAX 8
#define CONFIG_HOST_COUNT_MAX 16 /* hosts of all sites together */
#define CONFIG_WITNESS_COUNT_MAX 8
#define CONFIG_NODE_COUNT_MAX (CONFIG_HOST_COUNT_MAX + CONFIG_WITNESS_COUNT_MAX)
#define CONFIG_DISK_COUNT_MAX 256
#define CONFIG_NAME_MAX 64 /* with its final 0 */
#define CONFIG_PATH_MAX 256
#define CONFIG_ADDRESS_MAX 64
#define CONFIG_LOCATION_MAX 128
#define CONFIG_AGREED_BYTES 8192 /* all nodes, sites and logs, at their longest */

enum config_mode { CONFIG_SYNC, CONFIG_NEAR_SYNC, CONFIG_ASYNC };
enum config_order { CONFIG_ORDER_STRICT, CONFIG_ORDER_FLUSH, CONFIG_ORDER_LOG };
enum config_attach {
	CONFIG_ATTACH_AUTO,
	CONFIG_ATTACH_NONE,
	CONFIG_ATTACH_UBLK,
	CONFIG_ATTACH_NBD,
	CONFIG_ATTACH_FUSE,
};
/* Devices where the kernel refuses PR_SET_IO_FLUSHER: all may stand still for good when
 * memory is short. */
enum config_unprotected { CONFIG_UNPROTECTED_REFUSED, CONFIG_UNPROTECTED_ALLOWED };
enum config_no_quorum { CONFIG_NO_QUORUM_FREEZE, CONFIG_NO_QUORUM_FAIL };
enum config_confirm { CONFIG_CONFIRM_LOGGED, CONFIG_CONFIRM_HOME };
enum config_copy_loss { CONFIG_COPY_LOSS_CONTINUE, CONFIG_COPY_LOSS_BLOCK };

/* The bound of near-sync. Records that a current copy lacks are not home, and the engine's
 * table of those is not much larger. */
#define CONFIG_NEAR_SYNC_RECORDS 1000 /* where the file says nothing */
#define CONFIG_NEAR_SYNC_RECORDS_MAX 30000
#define CONFIG_NEAR_SYNC_MS_MAX 3600000
/* The bound of near copies in async. What a copy has durable lags by up to 4 MiB, or 100 ms,
 * on a fast line too (engine/bounds.h), and it is to be within half the bound. */
#define CONFIG_LAG_BYTES_MIN (16ull << 20)
#define CONFIG_LAG_BYTES_MAX (1ull << 40)
#define CONFIG_LAG_MS_MIN 1000
/* Of the sleep before a record is sent, and of the delay of a write. */
#define CONFIG_THROTTLE_US_MAX 1000000u

struct config_disk {
	char name[CONFIG_NAME_MAX];
	char path[CONFIG_PATH_MAX];
};

/* A node: a host of one site, or a witness. All nodes are in one table, hosts
 * first (site by site as listed), then witnesses. */
struct config_node {
	char name[CONFIG_NAME_MAX];
	char address[CONFIG_ADDRESS_MAX]; /* of the line; the name if not given */
	uint16_t port;                    /* of the line; the mirror's if not given */
	int32_t site;                     /* index in `sites`, -1 for a witness */
	uint32_t backup_place;            /* of a host in `backup-order`, from 1; 0: not
					       in it, so behind all that are */
};

struct config_site {
	char name[CONFIG_NAME_MAX];
	char location[CONFIG_LOCATION_MAX]; /* for people; "": not given */
	char writelog[CONFIG_PATH_MAX];
	uint32_t disk_count;                            /* the same names in every site */
	struct config_disk disk[CONFIG_DISK_COUNT_MAX]; /* ordered as site 0's */
};

#define CONFIG_SPIN_AUTO UINT32_MAX /* while it pays */

struct throttles;

struct config {
	char mirror[CONFIG_NAME_MAX];
	char instance[2 * CONFIG_NAME_MAX]; /* as commands on this node name it */
	bool cluster;                       /* false: `cluster: none` */
	bool backup_ordered;                /* `backup-order` is given */
	enum config_mode mode;
	uint32_t near_sync_records;  /* of mode near-sync; 0: no such bound */
	uint32_t near_sync_ms;       /* likewise; one of the two stands */
	uint64_t lag_bytes;          /* `failover`: the bound of a near copy in async;
					       0: there are none */
	uint32_t lag_ms;             /* likewise; 0: no such bound */
	enum config_confirm confirm; /* M9, of mode sync */
	enum config_order order;
	enum config_attach attach;
	enum config_unprotected unprotected;
	enum config_no_quorum on_no_quorum;
	enum config_copy_loss
		on_copy_loss;          /* M8; without a cluster BLOCK, but in async */
	uint16_t port;                 /* 7790 */
	uint32_t copy_timeout_ms;      /* 10000: nothing confirmed for so long: lost */
	uint32_t frozen_timeout_ms;    /* 30000: stop or demote fails frozen I/O after */
	uint32_t demote_drain_ms;      /* 10000: a demote waits so long for copies that
					       follow, when nothing is frozen any more */
	uint32_t device_timeout_ms;    /* 15000: a device that does not answer for so
					       long has failed; 0: never */
	uint32_t bypass_at_percent;    /* 80: log fill above which maps take over */
	uint32_t refresh_retry_ms;     /* 60000: async: until a copy that was outrun is
					       refreshed; doubled each time in a row */
	uint32_t lease_ms;             /* 0: from corosync's token and consensus */
	uint32_t task_range_count;     /* 4 */
	uint32_t task_per_range_count; /* 16 */
	uint64_t memory_bytes;         /* 64 MiB: the write path's pool */
	uint32_t spin_us;              /* CONFIG_SPIN_AUTO: look so long for a completion
					       before sleeping; 0: never. Of this host. */
	struct throttles *throttles;   /* the watcher's (agent/throttle.h); NULL: none.
					      The only part that is not plain data */
	uint32_t node_count;
	struct config_node node[CONFIG_NODE_COUNT_MAX];
	uint32_t site_count;
	struct config_site site[CONFIG_SITE_COUNT_MAX];
	uint64_t hash; /* of the settings that all nodes must agree on */
	char agreed[CONFIG_AGREED_BYTES]; /* ... and their text: config_difference.h */
	char file[CONFIG_PATH_MAX];       /* that it was read from, absolute; or "" */
	uint32_t file_crc;                /* of its bytes */
	/* Of what it says to the daemon, defaults filled in: neither throttles nor comments
	 * change it. */
	uint32_t settings_crc;
};

#endif
