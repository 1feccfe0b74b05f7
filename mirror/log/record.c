/* record.c - the life of a record: see record.h.
 *
 *   state     to STAMPED  to LOGGING  to LOGGED    to HOMING  to HOME     to FREE
 *   FREE      new one     -           found by a   -          -           -
 *                                     scan
 *   STAMPED   -           batched     -            -          -           dropped
 *   LOGGING   -           -           written      -          -           dropped
 *   LOGGED    -           -           -            gate       -           cut away
 *   HOMING    -           -           held and     -          disk took   dropped
 *                                     given back              it
 *   HOME      -           -           -            -          -           flushed
 *
 * "Dropped" is the end of an open that failed or was closed: the next scan finds the
 * log's records again. A log write that fails is never
 * repeated, the site detaches (G1): so nothing leads back to STAMPED.
 */
#include "mirror/log/record.h"

static bool legal(enum mirror_record_state from, enum mirror_record_state to)
{
	switch (from) {
	case MIRROR_RECORD_FREE:
		return to == MIRROR_RECORD_STAMPED || to == MIRROR_RECORD_LOGGED;
	case MIRROR_RECORD_STAMPED:
		return to == MIRROR_RECORD_LOGGING || to == MIRROR_RECORD_FREE;
	case MIRROR_RECORD_LOGGING:
		return to == MIRROR_RECORD_LOGGED || to == MIRROR_RECORD_FREE;
	case MIRROR_RECORD_LOGGED:
		return to == MIRROR_RECORD_HOMING || to == MIRROR_RECORD_FREE;
	case MIRROR_RECORD_HOMING:
		return to == MIRROR_RECORD_HOME || to == MIRROR_RECORD_LOGGED ||
		       to == MIRROR_RECORD_FREE;
	case MIRROR_RECORD_HOME:
		return to == MIRROR_RECORD_FREE;
	}
	return false;
}

void mirror_record_set_state(struct mirror_record *r, enum mirror_record_state state)
{
	assert(legal(r->state, state));
	if (state == MIRROR_RECORD_FREE) {
		assert(r->data == NULL && r->data_pin_count == 0);
		assert(r->next == NULL && r->part_count == 0 && !r->indexed);
	}
	r->state = state;
}
