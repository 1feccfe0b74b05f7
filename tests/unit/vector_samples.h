/* vector_samples.h - the samples whose bytes stand in tests/vectors/. */
#ifndef TESTS_UNIT_VECTOR_SAMPLES_H
#define TESTS_UNIT_VECTOR_SAMPLES_H

#include "mirror/log/descriptor.h"
#include "mirror/log/superblock.h"
#include "mirror/line/wire.h"

#define SAMPLE_TIME_NS 1700000000123456789ull
#define SAMPLE_DATA_BYTES 4608u

/* Sixteen bytes that count up from `first`. */
struct uuid sample_uuid(uint8_t first);

/* A write, a trim, a flush mark; the write's data. */
void sample_headers(struct mirror_header h[3], uint8_t data[SAMPLE_DATA_BYTES]);

void sample_descriptor(enum mirror_descriptor_type type, struct mirror_descriptor *d);
void sample_history(struct history *h);
void sample_superblock(struct mirror_superblock *sb);
void sample_hello(struct mirror_hello *hello);

#endif
