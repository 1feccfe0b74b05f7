/* attach_helper.h - the parts of the helper process of one disk (attach.h).
 *
 * The helper runs alone: it may block. Its input and output are one socket to
 * hamirrord. It is told `check`, `detach` or `force`, a line each; the end of its input
 * means `force`. It says
 *
 *   serve NUMBER      ublk alone, before that: serve /dev/ublkcNUMBER
 *   attached DEVICE WORD   once, the link stands; by which front-end
 *   failed TEXT       instead; it ends
 *   free, busy TEXT   answers `check`: may it be taken away?
 *   failed TEXT       answers `detach`: cached writes could not be written; or
 *                     unasked: the device was lost; it ends
 *
 * and ends when the device is gone. */
#ifndef AGENT_ATTACH_HELPER_H
#define AGENT_ATTACH_HELPER_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define ATTACH_TEXT_BYTES 512

struct attach_method;

struct attach_disk {
	const char *socket, *export, *folder, *link;
	const char *front_end; /* `attach` of the configuration */
	const struct attach_method *method;
	int lock_fd;       /* held as long as anything stands */
	int server_pid_fd; /* the process that serves the device, or -1 */
	pid_t server_pid;
	int device_fd; /* -1: none */
	int watch_fd;  /* ublk: readable when the device may have gone; -1: none */
	bool made;     /* ublk: device `number` is */
	uint32_t number;
	bool linked;
	char device[PATH_MAX];
	char text[ATTACH_TEXT_BYTES];
};

/* A way to make a device. Each returns 0, or -errno with a sentence in `text`. */
struct attach_method {
	const char *name;    /* as `attach` has it */
	const char *missing; /* the text when it cannot work here */
	/* Remove a killed predecessor's leftovers, as far as they are nobody's. */
	void (*clean)(struct attach_disk *d);
	/* Can it work here? Only then may the others be called. */
	bool (*is_there)(void);
	/* Sets device, device_fd and server_pid. On error disconnect() follows.
	 * -ECANCELED: told to give up meanwhile. */
	int (*connect)(struct attach_disk *d);
	/* Undo that, as far as it was done. `force`: do not wait for answers. */
	void (*disconnect)(struct attach_disk *d, bool force);
	/* Looked at when server_pid_fd or watch_fd is readable: has the device gone by
	 * itself? Sets `text`. */
	bool (*has_ended)(struct attach_disk *d);
};

extern const struct attach_method attach_fuse, attach_kernel, attach_ublk;

/* ---- attach_export.c ---- */

struct attach_export {
	uint64_t size_bytes;
	uint16_t flags;
	uint32_t sector_bytes; /* 512 to 4096 */
};

/* Ask for the size and limits of the export. Returns 0, or -errno with a sentence in `text`. */
int attach_export_ask(struct attach_disk *d, struct attach_export *e);

/* Take it: returns the socket, ready for requests, or -errno with a sentence. */
int attach_export_open(struct attach_disk *d, struct attach_export *e);

/* ---- attach_process.c ---- */

/* Start a program that ends with us; its output goes to a file in `folder`. Sets
 * server_pid and server_pid_fd. */
int attach_process_start(struct attach_disk *d, char *const argv[]);

/* Has it ended? If so, it is reaped; `text` gets the end of its output. */
bool attach_process_has_ended(struct attach_disk *d);

/* Wait for its end; after `patience_ms` it is killed. */
void attach_process_end(struct attach_disk *d, int patience_ms);

/* Adopt a child that was started otherwise. */
int attach_process_adopt(struct attach_disk *d, pid_t pid);

/* Run a program to its end. Returns its exit status, or -1. */
int attach_process_run(char *const argv[]);

/* ---- attach_helper.c ---- */

/* A line to hamirrord. */
void attach_helper_say(const char *word, const char *text);

/* Wait a moment; true when hamirrord wants us to end meanwhile. */
bool attach_helper_pause(int ms);

/* Set `text`, with the error's; returns -error. */
int attach_helper_fail(struct attach_disk *d, int error, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
