/* crc.c - see crc.h. ISA-L picks the fastest code for this processor. */
#include "common/crc.h"

#include <isa-l/crc.h>

/* ISA-L takes the length as an int. */
#define CHUNK_BYTES_MAX ((size_t)1 << 30)

uint32_t common_crc32c(uint32_t seed, const void *data, size_t length)
{
	/* ISA-L reads only, but its prototype lacks the const. */
	union {
		const void *in;
		unsigned char *out;
	} at = { .in = data };
	uint32_t crc = ~seed; /* ISA-L leaves both inversions to the caller */

	while (length > 0) {
		const size_t chunk = length < CHUNK_BYTES_MAX ? length : CHUNK_BYTES_MAX;

		crc = crc32_iscsi(at.out, (int)chunk, crc);
		at.out += chunk;
		length -= chunk;
	}
	return ~crc;
}

uint32_t common_crc32c_without(const uint8_t *block, size_t length, size_t crc_at)
{
	static const uint8_t zero[4];
	const size_t after = crc_at + sizeof zero;
	uint32_t crc = common_crc32c(0, block, crc_at);

	crc = common_crc32c(crc, zero, sizeof zero);
	return common_crc32c(crc, block + after, length - after);
}
