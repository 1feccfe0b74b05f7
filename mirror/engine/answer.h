/* engine/answer.h - when requests are answered. */
#ifndef MIRROR_ENGINE_ANSWER_H
#define MIRROR_ENGINE_ANSWER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/promise.h"
#include "mirror/io.h"

struct mirror_engine;

/* Queue the answer. An error needs no lease; anything else waits for one. */
void mirror_request_answer(struct mirror_engine *m, struct mirror_request *r,
			   int32_t result);
/* Answers wait for `site` from now on, or no longer (acknowledged.h). */
void mirror_requests_wait(struct mirror_engine *m, uint32_t site, bool wait);
/* Answers satisfy `promise` from now on (M3). FACT_PROMISE will name the order `order_id`
 * that changed it. */
void mirror_requests_promise(struct mirror_engine *m, const struct promise *promise,
			     uint64_t order_id);
/* M8: while one of these sites is required and not current, no write or flush is answered. */
void mirror_requests_missing(struct mirror_engine *m, uint32_t sites);
bool mirror_requests_answers_changes(const struct mirror_engine *m);
/* Does the read overlap a write that is held back for a missing copy, or for the disks of
 * copies (M9), or that failed then? Its record may be at home and freed, so that the index
 * knows it no more. */
bool mirror_requests_holds(const struct mirror_engine *m,
			   const struct mirror_request *read);
/* A pending write fails; its record stays, and its client knows nothing of it. */
void mirror_requests_note_failed(struct mirror_engine *m, const struct mirror_request *q);
/* Answer writes and flushes that have become acknowledged, and those that waited for a lease. */
void mirror_answer_pump(struct mirror_engine *m);

#endif
