/* status.h - a snapshot of the engine for `hamirror status` and the metrics. */
#ifndef MIRROR_STATUS_H
#define MIRROR_STATUS_H

#include "common/fact.h"

#define MIRROR_STATUS_QUEUE_MAX 16 /* the driver adds its own to the core's */

/* G7: every queue with its bound. */
struct mirror_status_queue {
	char name[32];
	uint64_t count;
	uint64_t count_max;
};

/* The I/O thread's own counts, since it began (io_driver.h explains them). */
struct mirror_status_io {
	uint64_t enters;               /* system calls of the loop */
	uint64_t wakeups;
	uint64_t submissions, completions;
	uint64_t answers;
	uint64_t answers_late;         /* kept back for want of a lease (D7) */
	uint64_t facts_dropped;
	uint64_t disk_operations;
	uint64_t link_sends, link_receives;
	uint64_t links_rejected;       /* connections closed before a valid hello */
};

struct mirror_status_site {
	enum link_state link;
	char link_text[FACT_TEXT_MAX];
	bool waited;                   /* writes wait for it */
	struct site_marks marks;       /* last confirmed */
	uint64_t lag_bytes;
	uint64_t lag_records;
	uint64_t lag_groups;
	uint64_t lag_ms;               /* age of its oldest unconfirmed record */
	uint64_t map_extents;          /* tracked for it */
	uint64_t refresh_done_extents;
	uint64_t refresh_total_extents;
	bool refresh_refused;          /* it waits for consent or room, link_text says */
	uint64_t since_ns;             /* CLOCK_REALTIME of the last link change */
	uint32_t lost_count;           /* lost so often while clients waited for it */
	bool bypass;                   /* async: clients outran it, and its map stands */
	bool paced;                    /* ... and wait for its refresh, by command */
	uint32_t outrun_count;         /* ... so often in a row */
	uint64_t retry_ms;             /* ... its refresh begins by itself then; 0: now */
	uint64_t back_off_ms;          /* so long they do not wait for it again */
	uint32_t link_place;           /* 1 + the number of its link; 0: there is none */
	/* Of that link, filled by the driver; 0: not known. */
	uint32_t rtt_us;               /* the shortest of minutes, as TCP knows it */
	uint64_t sent_per_s, received_per_s; /* bytes, over some seconds */
};

/* One disk's share of the lines to the copies; of the log itself all disks have a share. */
struct mirror_status_disk {
	uint64_t sent_bytes;           /* counters since the open: with headers */
	uint64_t sent_data_bytes, sent_records;
	uint64_t waiting_records;      /* in the log, to be sent to the copy that is behind
					  most; of several disks at most so many */
};

struct mirror_status {
	bool open;
	bool serving;
	bool frozen;                   /* writes wait for a copy or the lease */
	char frozen_text[FACT_TEXT_MAX];
	char hangs_text[FACT_TEXT_MAX];/* names a device that does not answer, or "" */
	uint64_t hangs_ms;             /* ... for so long */
	char failed_text[FACT_TEXT_MAX];/* names the device that failed, or "" */
	uint32_t site;
	enum data_state data;
	char data_text[FACT_TEXT_MAX];
	uint64_t data_time_ns;         /* wall time of the last record in our log */
	struct history history;
	struct site_marks marks;
	uint64_t sequence, group, acknowledged;
	bool group_in_progress;
	uint64_t log_bytes, log_used_bytes;
	uint64_t log_oldest_ms;        /* age of the oldest record that is still needed */
	uint64_t scan_done_bytes, scan_total_bytes;   /* while the log is being read */
	uint64_t scan_ms;              /* so long by now */
	uint32_t disk_count;
	uint64_t disk_bytes[CONFIG_DISK_COUNT_MAX];
	struct mirror_status_disk disk[CONFIG_DISK_COUNT_MAX];
	uint32_t site_count;
	struct mirror_status_site sites[CONFIG_SITE_COUNT_MAX];
	uint32_t queue_count;
	struct mirror_status_queue queue[MIRROR_STATUS_QUEUE_MAX];
	/* counters since the open */
	uint64_t writes, reads, flushes, write_bytes, read_bytes;
	uint64_t groups, log_writes, log_flushes, disk_flushes;
	uint64_t records_sent, records_received, records_homed;
	uint64_t records_overwritten; /* of these: a newer one went over them before */
	uint64_t home_writes;         /* of the disks: neighbours go together */
	uint64_t sent_bytes;           /* of frames, to all other sites */
	struct mirror_status_io io;    /* filled by the driver, after the core */
	/* Clients and the line are slowed (engine/throttle.h), for so long; 0: not. */
	uint32_t throttle_sleep_us, throttle_delay_us;
	uint64_t throttle_bytes_per_s, throttle_left_ms;
	char unlike_text[FACT_TEXT_MAX]; /* the last hello that was refused for another
					    file, mirror or version, or "" */
	uint64_t clients_refused; /* NBD clients, since the process began; so is ... */
	char clients_text[FACT_TEXT_MAX]; /* ... why they still are, or "" */
};

#endif
