/* crc.h - CRC32C (Castagnoli), the checksum of every format here. */
#ifndef COMMON_CRC_H
#define COMMON_CRC_H

#include <stddef.h>
#include <stdint.h>

/* The CRC32C of `length` bytes at `data`, continued from `seed`: 0 to begin, or
 * the result for the bytes before. So crc(crc(0, a), b) is the CRC of a then b.
 *
 * Source: RFC 3720 appendix B.4 (polynomial, reflection, test vectors). */
uint32_t common_crc32c(uint32_t seed, const void *data, size_t length);

/* The CRC of a block with its own CRC in the four bytes at `crc_at`, which count as zero. */
uint32_t common_crc32c_without(const uint8_t *block, size_t length, size_t crc_at);

#endif
