/* throttle.h - throttles: tests of a mirror's figures, made each period, and their actions.
 *
 * Logic without I/O: the figures, the time of day and a clock come in; actions go out. The
 * watcher (watch_throttle.h) carries them out.
 *
 * Source: paper 004, "throttles" (docs/sources.md); man/hamirror.yaml.5 lists the keys.
 */
#ifndef AGENT_THROTTLE_H
#define AGENT_THROTTLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/config.h"

#define THROTTLE_ACTIONS_MAX 16u
#define THROTTLE_US_MAX CONFIG_THROTTLE_US_MAX
#define THROTTLE_PERIOD_MS 10000u
#define THROTTLE_EXEC_SECONDS 30u
#define THROTTLE_DAY_S 86400u
#define THROTTLE_ALWAYS UINT32_MAX /* `from_s` and `to_s` of what has no window */
/* The smallest that `bandwidth` may be: the largest record leaves in two seconds. */
#define THROTTLE_BANDWIDTH_MIN (64ull << 10)
#define THROTTLE_BANDWIDTH_MAX (1ull << 40)

enum throttle_test {
	THROTTLE_NETKBPS,   /* KiB that were sent to the copies, a second */
	THROTTLE_PCTCPU,    /* of one processor, by the daemon */
	THROTTLE_PCTWL,     /* of the writelog that is in use */
	THROTTLE_LINK,      /* 1: the links to all copies are up; else 0 */
	THROTTLE_LAG_MS,    /* of the copy that is farthest behind; so is ... */
	THROTTLE_LAG_BYTES, /* ... this */
	THROTTLE_TEST_COUNT,
};

enum throttle_operator {
	THROTTLE_ABOVE,
	THROTTLE_ABOVE_EQUAL,
	THROTTLE_BELOW,
	THROTTLE_BELOW_EQUAL,
	THROTTLE_EQUAL,
	THROTTLE_UNEQUAL,
	THROTTLE_RISES, /* from the value or below it to above it: once a crossing */
	THROTTLE_FALLS,
};

enum throttle_verb {
	THROTTLE_SLEEP_SET,
	THROTTLE_SLEEP_INC,
	THROTTLE_SLEEP_DEC,
	THROTTLE_DELAY_SET,
	THROTTLE_DELAY_INC,
	THROTTLE_DELAY_DEC,
	THROTTLE_MODE,
	THROTTLE_LOG,
	THROTTLE_CONSOLE,
	THROTTLE_MAIL,
	THROTTLE_EXEC,
	THROTTLE_VERB_COUNT,
};

struct throttle_action {
	enum throttle_verb verb;
	uint32_t us;          /* SLEEP, DELAY */
	uint32_t mode;        /* MODE: enum config_mode */
	uint32_t records, ms; /* ... of near-sync; 0: not given */
	uint32_t seconds;     /* EXEC: killed after */
	char *text;           /* LOG, CONSOLE, MAIL: with %-marks; EXEC: of the shell */
	char *to;             /* MAIL: the address */
};

struct throttle {
	char name[CONFIG_NAME_MAX]; /* "throttles[3]" where the file gives none */
	uint32_t from_s, to_s;      /* of the local day, `to` excluded; or ALWAYS */
	uint32_t test;              /* enum throttle_test; so is ... */
	uint32_t operator;          /* ... this an enum */
	uint64_t value;
	uint32_t action_count;
	struct throttle_action action[THROTTLE_ACTIONS_MAX];
};

/* All of a mirror; agent/config_throttles.c makes it, config_free() ends it. */
struct throttles {
	uint32_t period_ms;
	uint64_t bandwidth; /* bytes a second; 0: no bound */
	uint32_t bandwidth_from_s, bandwidth_to_s;
	uint32_t count, size; /* of `throttle`: in use, and allocated */
	struct throttle *throttle;
};

/* Of one period. A figure that is not known fires nothing. */
struct throttle_figures {
	bool known[THROTTLE_TEST_COUNT];
	uint64_t value[THROTTLE_TEST_COUNT];
};

/* From one period to the next. All zero at first. */
struct throttle_state {
	bool at_copy;                 /* what throttle_slows() is handed to `act` too */
	struct throttle_figures last; /* the newest known figures */
	uint32_t sleep_us, delay_us;
	uint64_t next_ns; /* when the next period is due; 0: at once */
};

/* The words of the file, and NULL behind them. */
extern const char *const throttle_test_words[];
extern const char *const throttle_operator_words[];
extern const char *const throttle_verb_words[];

/* Nanoseconds from `now_ns` of a monotonic clock to the next period; 0: it is due, and the one
 * after it counts from now, so that periods that were missed are not made up for. */
uint64_t throttle_wait_ns(const struct throttles *t, struct throttle_state *s,
			  uint64_t now_ns);

/* Does it slow production, or change what that promises? At a copy it does neither. */
bool throttle_slows(const struct throttle_action *action);

/* One period. `second` of the local day, as the clock on the wall shows it: a window is open
 * while that lies in it, so an hour that the clock skips opens none, and one that it shows
 * twice opens twice. Sleep and delay are changed in `s`; the other actions are handed to
 * `act`, in the order of the file. */
void throttle_period(const struct throttles *t, struct throttle_state *s,
		     const struct throttle_figures *figures, uint32_t second,
		     void (*act)(void *data, const struct throttle *throttle,
				 const struct throttle_action *action),
		     void *data);

/* This node's part is another one: no sleep, no delay, and no crossing until figures are known
 * anew. */
void throttle_rest(struct throttle_state *s, bool at_copy);

/* The bound of `bandwidth` at that second of the day, in bytes a second; 0: none. */
uint64_t throttle_bandwidth(const struct throttles *t, uint32_t second);

/* A figure as text: link as "up" or "down". */
void throttle_value_text(uint32_t test, uint64_t value, char *text, size_t size);

/* `action->text` with its marks filled in: %m the mirror, %h this host, %n the throttle's
 * name, %t its test, %v the figure, %T `time`, %% a percent sign. Cut at `size`. */
void throttle_text(const struct throttle *t, const struct throttle_action *action,
		   const struct throttle_figures *figures, const char *mirror,
		   const char *host, const char *time, char *text, size_t size);

/* NULL is fine. */
void throttles_free(struct throttles *t);

#endif
