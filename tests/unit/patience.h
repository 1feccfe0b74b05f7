/* patience.h - how long a test waits for an event. This bounds a hang, and judges no time:
 * machines are busy. If a test needs longer, the runner ends it (tests/local.mk).
 */
#ifndef TESTS_UNIT_PATIENCE_H
#define TESTS_UNIT_PATIENCE_H

#define PATIENCE_MS 300000

#endif
