/* same.h - are two structs the same, apart from the padding between their fields? */
#ifndef TESTS_UNIT_SAME_H
#define TESTS_UNIT_SAME_H

#include <string.h>

#include "mirror/log/descriptor.h"

static inline bool same_header(const struct mirror_header *a,
			       const struct mirror_header *b)
{
	uint8_t of_a[MIRROR_HEADER_BYTES], of_b[MIRROR_HEADER_BYTES];

	mirror_header_encode(a, of_a);
	mirror_header_encode(b, of_b);
	return memcmp(of_a, of_b, sizeof of_a) == 0;
}

static inline bool same_headers(const struct mirror_header *a,
				const struct mirror_header *b, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		if (!same_header(&a[i], &b[i]))
			return false;
	return true;
}

#endif
