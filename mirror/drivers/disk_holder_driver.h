/* disk_holder_driver.h - find the holder of a device that could not be opened, for a
 * message that tells the operator what to stop or unmount. Reads /proc and /sys. */
#ifndef MIRROR_DRIVERS_DISK_HOLDER_DRIVER_H
#define MIRROR_DRIVERS_DISK_HOLDER_DRIVER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

/* Describe the holder of the device or file `st` (of stat(2)): "mounted on /srv/db;
 * unmount it first", "in use by process 123 (qemu)"; a plain "in use" when it cannot be
 * known. */
void disk_holder_find(const struct stat *st, char *text, size_t bytes);

/* True when nobody is seen that holds it and goes on: the holder ends, or is gone, and the kernel
 * has not let go of the device yet. Likewise of a holder that cannot be seen from here: it is
 * for a wait, and never proves that the device is free. */
bool disk_holder_is_ending(const struct stat *st);

/* True, with the same kind of text, when a loop device stands on the file `st`. */
bool disk_holder_find_loop(const struct stat *st, char *text, size_t bytes);

#endif
