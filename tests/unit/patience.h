/* patience.h - how long a test waits for what must come. It bounds a hang, and judges no
 * time: machines are busy. Where a test may run for longer, the runner ends it
 * (tests/local.mk).
 */
#ifndef TESTS_UNIT_PATIENCE_H
#define TESTS_UNIT_PATIENCE_H

#define PATIENCE_MS 300000

#endif
