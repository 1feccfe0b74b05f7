/* device_failure.h - a note of a device that failed, for the next process on this machine.
 *
 * A daemon whose device failed is stopped and started by Pacemaker. Without the note the new
 * process would open the devices at once, be promoted again and fail again, and no other
 * site would ever have its turn. It is a file in the state folder:
 *
 *   BOOT FAILED COUNT   self.h's number; nanoseconds of CLOCK_BOOTTIME; in a row
 *   TEXT                the device and its error
 */
#ifndef AGENT_DEVICE_FAILURE_H
#define AGENT_DEVICE_FAILURE_H

#include "agent/paths.h"
#include "cluster/cluster.h"

/* Write the note if that fact, which `core` has taken, is FACT_DEVICE_FAILED in a cluster. A
 * note that cannot be written is told to the system log: the next process opens the devices
 * at once. */
void agent_device_failure_note(const struct agent_instance *instance,
			       const struct cluster_core *core, const struct fact *fact);

/* Fill self->failures, self->failed_ns and self->failed_text from the note, if it is of
 * self->boot. Else they stay as they are. */
void agent_device_failure_read(const struct agent_instance *instance,
			       struct cluster_self *self);

#endif
