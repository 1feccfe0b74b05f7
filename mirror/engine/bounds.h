/* engine/bounds.h - how much, how many, how long: the engine's own bounds in one list. */
#ifndef MIRROR_ENGINE_BOUNDS_H
#define MIRROR_ENGINE_BOUNDS_H

#define NS_PER_MS 1000000ull

/* Bounds (G7), each with its reason. */
#define BATCH_DESCRIPTORS_MAX 4u /* one log write: up to 192 records ... */
#define BATCH_BYTES_MAX                                                                  \
	(512u * 1024)                 /* ... and half a MiB, so that the first
					   of them does not wait for the last */
#define ENTRY_BYTES_MAX (260u * 1024) /* descriptor and its data: fits LINK_READ_BYTES */
#define UNFLUSHED_BYTES_LAZY                                                             \
	(6u << 20) /* flush the log at the latest after so much ... */
#define UNFLUSHED_BYTES_LEAST (2u << 20) /* ... less if the pool is small, or they wait */
#define UNFLUSHED_BYTES_MAX (8u << 20)   /* W4: the scan's window is four times that */
#define FLUSH_LAZY_NS (100 * NS_PER_MS)  /* ... or so long, so that homes can start ... */
#define FLUSH_QUIET_NS (20 * NS_PER_MS)  /* ... or so long after the last of a burst */
#define MARK_IDLE_NS (10 * NS_PER_MS)    /* W4: a mark follows within 10 ms */
#define READS_MAX 128u                   /* client and refresh reads under way */
#define READ_OVERLAPS_MAX 128u           /* more: the read waits for homes first */
#define RECORDS_MAX 32768u               /* stamped, not yet home and flushed */
#define REPLAYS_MAX 32u
#define HOME_OPS_MAX 256u
#define HOME_OPS_FEW 32u   /* while nothing waits for them */
#define HOME_MERGE_MAX 32u /* records in one write of a disk ... */
#define HOME_MERGE_BYTES (1u << 20)
#define HOME_DELAY_RECORDS 4096u         /* put off: at most so many ... */
#define HOME_DELAY_NS (1000 * NS_PER_MS) /* ... for twice so long ... */
#define HOME_IDLE_NS (50 * NS_PER_MS)    /* ... until nothing has come for so long */
#define HOME_SLOW_NS (1000 * NS_PER_MS)  /* M9: so late at a copy, it is told */
#define LINK_FRAMES_MAX 192u             /* queued on one link; beyond: from the log */
#define LINK_BYTES_MAX (8u << 20)
#define LINK_READ_BYTES (512u * 1024) /* catch-up reads of the log */
#define FRAMES_MAX (LINK_FRAMES_MAX * 4)
#define REFRESH_READS_MAX 16u         /* of one copy; engine/yield.h bounds their bytes */
#define REFRESH_LINE_BYTES (4u << 20) /* of one copy, not yet handed to the line */
#define REFRESH_UNSENT_MAX 64u        /* records of it: power of two */
#define SCAN_BYTES (1u << 20)
#define RESERVE_BUFFERS 4u /* of the largest size: replays and greetings go on */
#define HEARTBEAT_NS (500 * NS_PER_MS)
#define RETRY_NS (500 * NS_PER_MS)
#define REFUSED_NS (5000 * NS_PER_MS) /* until a refresh is asked for again */
#define MARKS_NS (50 * NS_PER_MS)     /* production's marks to a copy */
#define HOME_FLUSH_NS (1000 * NS_PER_MS)
#define LOST_GRACE_NS (1000 * NS_PER_MS)   /* a reconnect within it is no loss */
#define ROLL_OPENING_NS (1000 * NS_PER_MS) /* for a source that may be missing */
#define FLOW_NS (1000 * NS_PER_MS)         /* nothing confirmed for so long: it stands */
#define LEVEL_RECORDS 512u                 /* so near, a copy may enter (D3) ... */
#define MAPPING_NS (500 * NS_PER_MS)       /* then clients wait for a refresh to begin */
#define CHASE_NS (1000 * NS_PER_MS)        /* ... or when clients outrun it so long */
#define COPY_TOGETHER 4096u                /* so far behind, it is catching up */
#define DEVICE_LOOK_NS (1000 * NS_PER_MS)  /* how old are our device operations? */
#define DEVICE_HANGS_NS (3000 * NS_PER_MS) /* so old: it is told */
#define FACTS_WAITING_MAX 64u
#define PUMP_ROUNDS_MAX 16u

#endif
