/* client.c - clients of the host that serves: concurrent, overlapping and dependent writes,
 * zeroes, flushes and reads over a few connections, which now and then break and say
 * the same again. The answers leave as io_answer_driver.c lets them.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "tests/sim/sim.h"

#define CONNECTIONS 3u
#define RESEND_ONE_IN 400u

static void fill(uint8_t *at, uint64_t length, uint64_t number)
{
	for (uint64_t i = 0; i < length; i += 8)
		memcpy(at + i, &number, 8);
}

/* A pointer that stands for the connection of slot `slot`. */
static void *connection(struct sim *w, uint32_t node, uint32_t slot)
{
	return &w->node[node].request[slot % CONNECTIONS];
}

void sim_client_wake(struct sim *w, uint32_t node)
{
	struct sim_node *n = &w->node[node];
	uint64_t pause = 0;

	if (n->submit_due || !n->clients || w->client_off)
		return;
	n->submit_due = true;
	if (w->plan.burst == 0 || sim_random(w, w->plan.burst) != 0)
		pause = sim_random(w, 2 * w->plan.quiet_ns + 1);
	sim_at(w, w->now_ns + pause, SIM_SUBMIT, node, 0, NULL);
}

static uint64_t length(struct sim *w)
{
	const uint64_t kind = sim_random(w, 32);

	return SIM_SECTOR * (1 + sim_random(w, kind == 0 ? 128 : kind < 4 ? 32 : 8));
}

static void draw(struct sim *w, struct mirror_request *q)
{
	const uint64_t kind = sim_random(w, 16);
	const uint64_t span = w->plan.span_bytes;

	memset(q, 0, sizeof *q);
	q->disk = (uint32_t)sim_random(w, w->plan.disk_count);
	q->length_bytes = length(w);
	if (q->length_bytes > span)
		q->length_bytes = span;
	q->offset_bytes = SIM_SECTOR *
			  sim_random(w, (span - q->length_bytes) / SIM_SECTOR + 1);
	q->type = kind < 10 ? MIRROR_REQUEST_WRITE :
		  kind < 11 ? MIRROR_REQUEST_ZERO :
		  kind < 13 ? MIRROR_REQUEST_FLUSH :
			      MIRROR_REQUEST_READ;
	if (q->type == MIRROR_REQUEST_FLUSH)
		q->offset_bytes = q->length_bytes = 0;
	q->fua = kind == 0;
	q->may_deallocate = sim_random(w, 2) == 0;
}

/* Note the writes that were answered to any client by now, in the history that this node
 * serves. */
static void set_floor(struct sim *w, uint32_t node, struct sim_request *r)
{
	static uint64_t limit[SIM_GENERATIONS_MAX];

	r->answered_generation = (uint32_t)w->node[node].served_generation - 1;
	r->answered_sequence = w->generation[r->answered_generation].answered;
	r->floor_sequence = 0;
	sim_limits(w, (uint32_t)w->node[node].served_generation - 1, limit);
	for (uint32_t g = 0; g < w->generation_count; g++) {
		uint64_t upto = w->generation[g].acknowledged;

		upto = upto < limit[g] ? upto : limit[g];
		if (upto >= r->floor_sequence && upto > 0) {
			r->floor_sequence = upto;
			r->floor_generation = g;
		}
	}
}

static bool get_buffer(struct sim *w, uint32_t node, struct sim_request *r)
{
	struct mirror_request *q = &r->request;

	if (q->type != MIRROR_REQUEST_WRITE && q->type != MIRROR_REQUEST_READ)
		return true;
	q->data = mirror_pool_get(mirror_engine_pool(w->node[node].engine),
				  (uint32_t)q->length_bytes);
	if (q->data != NULL && q->type == MIRROR_REQUEST_WRITE)
		fill(q->data, q->length_bytes, r->number);
	return q->data != NULL;
}

static void number(struct sim *w, struct sim_request *r)
{
	r->number = ++w->write_count;
	r->again = false;
}

static void ask(struct sim *w, uint32_t node, uint32_t slot)
{
	struct sim_request *r = &w->node[node].request[slot];
	struct mirror_event e = { .type = MIRROR_EVENT_REQUEST, .request = &r->request };

	if (!get_buffer(w, node, r))
		return;
	r->request.client = connection(w, node, slot);
	r->asked_ns = w->now_ns;
	r->busy = true;
	r->noted = r->gone = r->told = false;
	r->decided_ns = 0;
	set_floor(w, node, r);
	w->count.requests++;
	sim_mirror_step(w, node, &e);
	if (r->busy)
		sim_note(w, node, r);
}

/* A connection breaks, with its requests; the client sends them again on another. */
static struct sim_request *break_connection(struct sim *w, uint32_t node, uint32_t number)
{
	struct sim_node *n = &w->node[node];
	struct mirror_event e = { .type = MIRROR_EVENT_CLIENT_GONE,
				  .client = &n->request[number] };
	struct sim_request again = { 0 };

	sim_note_all(w, node);
	for (uint32_t i = number; i < SIM_REQUESTS_MAX; i += CONNECTIONS) {
		struct sim_request *r = &n->request[i];

		if (!r->busy)
			continue;
		r->gone = true;
		r->stamped_before = r->request.sequence != 0;
		if (r->request.type == MIRROR_REQUEST_WRITE)
			again = *r;
	}
	sim_mirror_step(w, node, &e);
	for (uint32_t i = 0; i < SIM_REQUESTS_MAX && again.busy; i++) {
		struct sim_request *r = &n->request[i];

		if (r->busy || i % CONNECTIONS == number || !n->clients ||
		    !mirror_engine_takes_requests(n->engine))
			continue;
		r->number = again.number;
		r->again = true;
		r->request = (struct mirror_request){
			.type = MIRROR_REQUEST_WRITE,
			.disk = again.request.disk,
			.offset_bytes = again.request.offset_bytes,
			.length_bytes = again.request.length_bytes,
		};
		ask(w, node, i);
		return r->busy ? r : NULL;
	}
	return NULL;
}

struct sim_request *sim_ask(struct sim *w, uint32_t node, const struct mirror_request *q)
{
	struct sim_node *n = &w->node[node];

	for (uint32_t i = 0; i < SIM_REQUESTS_MAX && n->clients; i++) {
		struct sim_request *r = &n->request[i];

		if (r->busy || !mirror_engine_takes_requests(n->engine))
			continue;
		r->request = *q;
		number(w, r);
		ask(w, node, i);
		return r->busy || r->told ? r : NULL;
	}
	return NULL;
}

struct sim_request *sim_ask_again(struct sim *w, uint32_t node, struct sim_request *r)
{
	return break_connection(w, node,
				(uint32_t)(r - w->node[node].request) % CONNECTIONS);
}

void sim_submit(struct sim *w, uint32_t node)
{
	struct sim_node *n = &w->node[node];
	const uint32_t slot = (uint32_t)sim_random(w, SIM_REQUESTS_MAX);

	n->submit_due = false;
	if (!n->clients || w->client_off)
		return;
	if (sim_random(w, RESEND_ONE_IN) == 0)
		break_connection(w, node, (uint32_t)sim_random(w, CONNECTIONS));
	if (n->clients && !n->request[slot].busy &&
	    mirror_engine_takes_requests(n->engine)) {
		draw(w, &n->request[slot].request);
		number(w, &n->request[slot]);
		ask(w, node, slot);
	}
	sim_client_wake(w, node);
}

/* ---- answers ------------------------------------------------------------------- */

static void give_back(struct sim *w, uint32_t node, struct sim_request *r)
{
	r->busy = false;
	if (r->request.data != NULL)
		mirror_pool_put(mirror_engine_pool(w->node[node].engine),
				r->request.data);
	r->request.data = NULL;
}

/* It leaves, over a connection that is there. */
static void leave(struct sim *w, uint32_t node, struct sim_request *r)
{
	if (r->gone) {
		if (r->request.sequence != 0 && !r->stamped_before &&
		    r->request.type != MIRROR_REQUEST_READ)
			sim_violate(w, "G2",
				    "a request of a connection that had ended "
				    "was stamped");
	} else {
		w->count.answers++;
		r->told = true;
		if (r->request.type == MIRROR_REQUEST_READ)
			memcpy(&r->shown, r->request.data, sizeof r->shown);
		if (r->request.result != 0)
			w->count.errors++;
		for (uint32_t i = 0; sim_checkers[i] != NULL; i++)
			if (sim_checkers[i]->answered != NULL)
				sim_checkers[i]->answered(w, node, r);
	}
	give_back(w, node, r);
}

/* The core has answered: it goes out with the next pass. */
void sim_answer(struct sim *w, uint32_t node, struct mirror_request *q)
{
	struct sim_node *n = &w->node[node];
	struct sim_request *r = (struct sim_request *)(void *)q;

	assert(r->busy);
	r->decided_ns = sim_clock(w, node);
	sim_note(w, node, r);
	if (!n->clients) { /* closed: nobody is there to hear of it */
		give_back(w, node, r);
		return;
	}
	q->next = NULL;
	if (n->late.tail != NULL)
		n->late.tail->next = q;
	else
		n->late.head = q;
	n->late.tail = q;
}

static struct sim_request *pop(struct mirror_request_list *list)
{
	struct mirror_request *q = list->head;

	if (q == NULL)
		return NULL;
	list->head = q->next;
	if (list->head == NULL)
		list->tail = NULL;
	q->next = NULL;
	return (struct sim_request *)(void *)q;
}

static bool may_answer(const struct sim *w, uint32_t node)
{
	return sim_clock(w, node) < mirror_engine_lease_until_ns(w->node[node].engine);
}

void sim_offer(struct sim *w, uint32_t node)
{
	struct sim_node *n = &w->node[node];
	struct mirror_request_list kept = { 0 };
	const bool allowed = may_answer(w, node);
	struct sim_request *r;

	n->offer_due = false;
	while ((r = pop(&n->late)) != NULL) {
		if (allowed || r->request.result < 0) {
			leave(w, node, r);
			continue;
		}
		if (kept.tail != NULL)
			kept.tail->next = &r->request;
		else
			kept.head = &r->request;
		kept.tail = &r->request;
	}
	n->late = kept;
}

/* The sockets are closed (io_answer_close()), or the process is gone. */
void sim_clients_gone(struct sim *w, uint32_t node, bool process)
{
	struct sim_node *n = &w->node[node];
	struct sim_request *r;

	sim_note_all(w, node);
	while ((r = pop(&n->late)) != NULL) {
		if (!process && r->request.result == 0 && may_answer(w, node))
			leave(w, node, r);
		else
			give_back(w, node, r);
	}
	n->clients = false;
	n->submit_due = false;
	for (uint32_t i = 0; process && i < SIM_REQUESTS_MAX; i++)
		n->request[i] = (struct sim_request){ 0 };
}

void sim_fail_late(struct sim *w, uint32_t node)
{
	struct sim_node *n = &w->node[node];
	struct sim_request *r;

	while ((r = pop(&n->late)) != NULL) {
		r->request.result = -EIO;
		leave(w, node, r);
	}
}

bool sim_requests_idle(const struct sim *w)
{
	for (uint32_t n = 0; n < w->node_count; n++)
		for (uint32_t i = 0; i < SIM_REQUESTS_MAX && w->node[n].running; i++)
			if (w->node[n].request[i].busy)
				return false;
	return true;
}
