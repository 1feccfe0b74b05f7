/* parts.h - what the engine_*.c files call of each other. Private to them; each
 * function is described where it is defined. */
#ifndef MIRROR_PARTS_H
#define MIRROR_PARTS_H

#include "mirror/internal.h"

/* engine.c */
void mirror_engine_set_state(struct mirror_engine *m, enum engine_state state);
void mirror_engine_submit(struct mirror_engine *m, struct mirror_io *io);
void mirror_engine_wake(struct mirror_engine *m, uint64_t at_ns);
struct fact *mirror_engine_fact(struct mirror_engine *m, enum fact_type type);
void mirror_engine_event(struct mirror_engine *m, const char *object, const char *rule,
			 const char *format, ...) __attribute__((format(printf, 4, 5)));
const char *mirror_engine_site_name(const struct mirror_engine *m, uint32_t site);
void mirror_engine_fail(struct mirror_engine *m, uint32_t device, int32_t error,
			const char *what);
void mirror_engine_hung(struct mirror_engine *m, const char *text);
void mirror_engine_damage(struct mirror_engine *m, const char *text);
#define MIRROR_DEVICE_NAME_MAX (CONFIG_PATH_MAX + CONFIG_NAME_MAX + 16)
/* "writelog PATH", "disk NAME (PATH)": of a mirror_io's `device`. */
void mirror_device_name(const struct mirror_engine *m, uint32_t device, char *name,
			size_t size);
void mirror_engine_set_data(struct mirror_engine *m, enum data_state data,
			    const char *text);
uint64_t mirror_engine_random(struct mirror_engine *m);
struct mirror_record *mirror_engine_record(struct mirror_engine *m, uint64_t sequence);
void mirror_buffer_ref(struct mirror_engine *m, const uint8_t *data);
void mirror_buffer_unref(struct mirror_engine *m, uint8_t *data);
uint8_t *mirror_buffer_get(struct mirror_engine *m, uint32_t bytes);
void mirror_buffer_put(struct mirror_engine *m, uint8_t *data);
/* Less than an eighth of the pool is free: what the log holds is not kept in memory. */
bool mirror_buffers_are_short(const struct mirror_engine *m);
uint64_t mirror_superblock_want(struct mirror_engine *m);
bool mirror_superblock_has(const struct mirror_engine *m, uint64_t ticket);
void mirror_superblock_pump(struct mirror_engine *m);

void mirror_text(char *text, size_t size, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* engine_create.c */
void mirror_engine_reset(struct mirror_engine *m);

/* engine_open.c */
void mirror_open_order(struct mirror_engine *m, const struct order *o);
void mirror_open_devices(struct mirror_engine *m, const struct mirror_devices *d);
void mirror_open_pump(struct mirror_engine *m);
void mirror_open_io(struct mirror_engine *m, struct mirror_io *io);
/* Say why the open was given up, if it was: the devices are closed. */
void mirror_open_refused(struct mirror_engine *m);

/* engine_disks.c */
void mirror_disks_begin(struct mirror_engine *m);
void mirror_disks_found(struct mirror_engine *m, const struct mirror_header *h);
void mirror_disks_io(struct mirror_engine *m, struct mirror_io *io);
bool mirror_disks_judge(struct mirror_engine *m, char *text, size_t size);
void mirror_disks_homed(struct mirror_engine *m, const struct mirror_record *r);

/* engine_close.c */
void mirror_close_order(struct mirror_engine *m, const struct order *o);
void mirror_close_pump(struct mirror_engine *m);
void mirror_closed(struct mirror_engine *m);

/* engine_request.c */
struct mirror_request *mirror_request_pop(struct mirror_request_list *list);
void mirror_request_answer(struct mirror_engine *m, struct mirror_request *r,
			   int32_t result);
struct mirror_record *mirror_record_stamp(struct mirror_engine *m,
					  const struct mirror_header *header,
					  uint8_t *data);
void mirror_record_admit(struct mirror_engine *m, struct mirror_record *r, uint8_t *data,
			 enum mirror_record_state state);
void mirror_request_take(struct mirror_engine *m, struct mirror_request *q);
void mirror_requests_pump(struct mirror_engine *m);
void mirror_ack_pump(struct mirror_engine *m);
void mirror_requests_fail(struct mirror_engine *m, int32_t result);
void mirror_client_gone(struct mirror_engine *m, const void *client);

/* engine_read.c */
bool mirror_read_start(struct mirror_engine *m, struct mirror_request *q);
bool mirror_read_refresh(struct mirror_engine *m, uint32_t site, uint32_t link,
			 uint32_t disk, uint64_t offset_bytes, uint64_t length_bytes,
			 uint8_t *data);
void mirror_reads_fail(struct mirror_engine *m, int32_t result);
void mirror_read_io(struct mirror_engine *m, struct mirror_io *io);

/* engine_log.c */
bool mirror_log_is_idle(const struct mirror_engine *m);
uint64_t mirror_log_flush_target(struct mirror_engine *m, uint64_t sequence);
void mirror_log_pump(struct mirror_engine *m);
uint64_t mirror_log_kept_bytes(const struct mirror_engine *m);
void mirror_log_mark(struct mirror_engine *m);
void mirror_log_io(struct mirror_engine *m, struct mirror_io *io);

/* engine_home.c */
void mirror_home_pump(struct mirror_engine *m);
void mirror_home_io(struct mirror_engine *m, struct mirror_io *io);
void mirror_replay_io(struct mirror_engine *m, struct mirror_io *io);
bool mirror_home_is_quiet(const struct mirror_engine *m);
void mirror_home_reset(struct mirror_engine *m);
void mirror_gate_io(struct mirror_engine *m, struct mirror_io *io);

/* engine_free.c */
void mirror_free_pump(struct mirror_engine *m);
uint64_t mirror_free_covered(const struct mirror_engine *m, uint32_t site);
void mirror_free_io(struct mirror_engine *m, struct mirror_io *io);
void mirror_superblock_hints(struct mirror_engine *m);
void mirror_bypass_headers(struct mirror_engine *m, const struct mirror_header *headers,
			   uint32_t count);

/* engine_maps.c */
uint64_t mirror_maps_want(struct mirror_engine *m);
bool mirror_maps_have(const struct mirror_engine *m, uint64_t ticket);
void mirror_maps_set(struct mirror_engine *m, uint32_t site, uint32_t disk,
		     uint64_t offset_bytes, uint64_t length_bytes);
void mirror_maps_set_all(struct mirror_engine *m, uint32_t site);
void mirror_maps_merge(struct mirror_engine *m, uint32_t site, uint32_t from);
int mirror_maps_import(struct mirror_engine *m, uint32_t site,
		       const struct mirror_map_chunk *chunk, const uint8_t *data,
		       size_t data_bytes);
void mirror_maps_clear(struct mirror_engine *m, uint32_t site);
/* No map stands for records beyond `sequence`, the last one: of those that were given up
 * it may hold more than is missed, and what comes under their sequences it has not seen. */
void mirror_maps_limit(struct mirror_engine *m, uint64_t sequence);
void mirror_maps_pump(struct mirror_engine *m);
void mirror_maps_io(struct mirror_engine *m, struct mirror_io *io);
bool mirror_headers_read(struct mirror_engine *m, uint64_t sequence,
			 enum headers_user user);
uint32_t mirror_headers_standing(const struct mirror_engine *m,
				 const struct mirror_descriptor *d);
void mirror_headers_io(struct mirror_engine *m, struct mirror_io *io);

/* engine_cut.c */
void mirror_cut_start(struct mirror_engine *m, uint64_t keep, bool home,
		      const struct history *adopt);
void mirror_cut_to_hold(struct mirror_engine *m, const char *text);
void mirror_cut_headers(struct mirror_engine *m, const struct mirror_header *headers,
			uint32_t count);
void mirror_cut_pump(struct mirror_engine *m);
void mirror_records_drop_unlogged(struct mirror_engine *m);
void mirror_record_forget(struct mirror_engine *m, struct mirror_record *r);
void mirror_leap_start(struct mirror_engine *m, const struct mirror_refresh_begin *b);
void mirror_leap_forget(struct mirror_engine *m);
bool mirror_leap_pump(struct mirror_engine *m);

/* engine_prepare.c */
void mirror_prepare_order(struct mirror_engine *m, const struct order *o);
void mirror_prepare_rolled(struct mirror_engine *m, uint32_t site, bool complete,
			   bool busy, const char *text);
void mirror_prepare_pump(struct mirror_engine *m);
void mirror_serve_order(struct mirror_engine *m, const struct order *o);
void mirror_serve_failed(struct mirror_engine *m, uint64_t order_id, int32_t error,
			 const char *text);
void mirror_wait_order(struct mirror_engine *m, const struct order *o);
void mirror_view_order(struct mirror_engine *m, const struct order *o);
/* D4: a refusal is lifted when a view of greater ballot that keeps an older generation
 * is in effect: the promotion that stored it has lost. Asked when such a view comes,
 * when a promotion ends (one under way keeps its refusal until then), and when a refusal
 * that a roll-forward asked for is stored: the view may have come before. */
void mirror_refusal_review(struct mirror_engine *m);

/* engine_demote.c */
void mirror_become_idle(struct mirror_engine *m);
void mirror_depose(struct mirror_engine *m, const char *text);
void mirror_demote_order(struct mirror_engine *m, const struct order *o);
void mirror_demote_pump(struct mirror_engine *m);
void mirror_clients_pump(struct mirror_engine *m);
void mirror_clients_done(struct mirror_engine *m, int32_t error);

/* engine_link.c */
struct mirror_frame *mirror_frame_get(struct mirror_engine *m, uint32_t link);
void mirror_frame_drop(struct mirror_engine *m, struct mirror_frame *f);
void mirror_frame_send(struct mirror_engine *m, struct mirror_frame *f);
void mirror_frame_sent(struct mirror_engine *m, struct mirror_frame *f);
uint32_t mirror_link_connect(struct mirror_engine *m, const struct order_peer *peer,
			     enum mirror_hello_purpose purpose);
void mirror_link_close(struct mirror_engine *m, uint32_t number, const char *text);
void mirror_links_close_all(struct mirror_engine *m, const char *text);
bool mirror_links_are_gone(const struct mirror_engine *m);
void mirror_peer_set(struct mirror_engine *m, uint32_t site, enum link_state state,
		     const char *text);
void mirror_link_up(struct mirror_engine *m, uint32_t number, bool accepted);
void mirror_link_down(struct mirror_engine *m, uint32_t number, const char *text);
void mirror_link_order(struct mirror_engine *m, const struct order *o);
void mirror_probe_order(struct mirror_engine *m, const struct order *o);
void mirror_probe_done(struct mirror_engine *m, const struct mirror_hello *hello,
		       int32_t error, const char *text);
void mirror_link_received(struct mirror_engine *m, const struct mirror_received *r);
void mirror_links_pump(struct mirror_engine *m);

/* engine_greet.c */
bool mirror_greeting_received(struct mirror_engine *m, const struct mirror_received *r);
void mirror_greeting_lost(struct mirror_engine *m);
void mirror_greetings_pump(struct mirror_engine *m);

/* engine_send.c */
void mirror_send_pump(struct mirror_engine *m);
void mirror_send_io(struct mirror_engine *m, struct mirror_io *io);
void mirror_links_send_demoted(struct mirror_engine *m, uint32_t sites,
			       const struct uuid *generation, uint64_t sequence);
bool mirror_links_sent_all(const struct mirror_engine *m);

/* engine_copy.c */
void mirror_copy_stream_begins(struct mirror_engine *m, uint32_t number);
void mirror_copy_stream_lost(struct mirror_engine *m, const char *text);
bool mirror_copy_received(struct mirror_engine *m, const struct mirror_received *r);
bool mirror_copy_holds(const struct mirror_engine *m);
bool mirror_copy_lift_is_due(const struct mirror_engine *m);
bool mirror_copy_may_begin(struct mirror_engine *m, const struct mirror_refresh_begin *b,
			   bool *hold);
void mirror_copy_pump(struct mirror_engine *m);
void mirror_proven_limit(struct mirror_engine *m);
void mirror_marks_pump(struct mirror_engine *m);

/* engine_pace.c */
uint64_t mirror_pace_stream_bytes(const struct mirror_engine *m, uint64_t sequence);
bool mirror_pace_fits(const struct mirror_engine *m, uint32_t site);
void mirror_pace_begin(struct mirror_engine *m, uint32_t site, uint64_t extents);
void mirror_pace_asked(struct mirror_engine *m, uint32_t site);
bool mirror_pace_ready(struct mirror_engine *m, uint32_t site, uint32_t room_blocks);
void mirror_pace_spend(struct mirror_engine *m, const struct mirror_header *h);
bool mirror_pace_waits(const struct mirror_engine *m);

/* engine_trust.c */
void mirror_trust_serve(struct mirror_engine *m, uint32_t site);
void mirror_trust_begins(struct mirror_engine *m, uint32_t number);
/* Its marks have changed; `refreshed`: by the end of a refresh. */
void mirror_trust_confirmed(struct mirror_engine *m, uint32_t site, bool refreshed);
/* Does it take what it is sent? Then the log is kept for it, and it may be waited for. */
bool mirror_trust_flows(const struct mirror_engine *m, uint32_t site);
/* May clients begin to wait for the copy, or for its refresh? */
bool mirror_trust_allows(struct mirror_engine *m, uint32_t site);
bool mirror_trust_may_enter(struct mirror_engine *m, uint32_t site);
/* Clients had to wait for a copy, and in vain. */
void mirror_trust_lost(struct mirror_engine *m, uint32_t site);
/* A copy that is waited for begins to be refreshed. */
void mirror_trust_behind(struct mirror_engine *m, uint32_t site);
void mirror_trust_forgive(struct mirror_engine *m, uint32_t site);
void mirror_trust_pump(struct mirror_engine *m);
/* engine_rights.c */
bool mirror_lost_proven(const struct mirror_engine *m, uint32_t site, uint64_t needed);
bool mirror_had_all(const struct mirror_engine *m, uint32_t site,
		    const struct mirror_hello *h);
uint64_t mirror_missed_extents(const struct mirror_engine *m, uint32_t site,
			       const struct mirror_hello *h);
bool mirror_is_clean(const struct mirror_engine *m);
void mirror_rights_hello(const struct mirror_engine *m, uint32_t number,
			 struct mirror_hello *h);
void mirror_rights_probe(struct mirror_engine *m);
void mirror_roll_answered(struct mirror_engine *m, uint32_t number);
bool mirror_roll_welcomed(struct mirror_engine *m, uint32_t number);
bool mirror_roll_is_whole(const struct mirror_engine *m, uint32_t number,
			  uint64_t sequence);
void mirror_roll_failed(struct mirror_engine *m, uint32_t site, bool busy,
			const char *text);
bool mirror_promise_allows(const struct mirror_engine *m, uint32_t site);
bool mirror_promise_is_void(const struct mirror_engine *m);
uint32_t mirror_heir(const struct mirror_engine *m);

/* engine_undo.c */
bool mirror_undo_waits(struct mirror_engine *m, const struct mirror_hello *h, char *text,
		       size_t size);
bool mirror_undo_keeps(const struct mirror_engine *m, const struct mirror_judgement *j,
		       char *text, size_t size);
bool mirror_undo_takes(struct mirror_engine *m, const struct mirror_hello *h);

/* engine_refresh.c */
void mirror_production_begins(struct mirror_engine *m, uint32_t number);
void mirror_production_pump(struct mirror_engine *m, uint32_t number);
/* A copy that is `behind` and took `taken` records in the last CHASE_NS would be level
 * within the time in which clients may wait for it: as long as it has been outrun, in
 * `count` of CHASE_NS, copy-timeout at most, but one CHASE_NS at least. */
bool mirror_chase_is_short(uint64_t behind, uint64_t taken, uint64_t count,
			   uint64_t timeout_ms);
bool mirror_production_received(struct mirror_engine *m, const struct mirror_received *r);
void mirror_refresh_stop(struct mirror_engine *m, uint32_t site);
void mirror_refresh_order(struct mirror_engine *m, const struct order *o);
/* A refresh begins, or is asked for again: with the map of what the copy misses. */
void mirror_refresh_map(struct mirror_engine *m, uint32_t site);
bool mirror_refresh_covers(const struct mirror_engine *m, uint32_t disk,
			   uint64_t offset_bytes, uint64_t length_bytes);
void mirror_refresh_read_done(struct mirror_engine *m, struct engine_read *rd,
			      int32_t result);
void mirror_refresh_pump(struct mirror_engine *m);
bool mirror_refresh_ends(const struct mirror_engine *m, uint32_t site);

/* engine_watch.c */
void mirror_watch_begin(struct mirror_engine *m, struct mirror_io *io);
void mirror_watch_end(struct mirror_engine *m, struct mirror_io *io);
/* Names the device that has kept us waiting the longest, or "" while none has for long.
 * Returns for how long, in nanoseconds. */
uint64_t mirror_watch_text(const struct mirror_engine *m, char *text, size_t size);
void mirror_watch_pump(struct mirror_engine *m);

/* engine_status.c */
void mirror_status_fill(const struct mirror_engine *m, struct mirror_status *s);
/* A record is about to leave memory: what is the first that a site misses is noted, so
 * that its lag can still be told. */
void mirror_lag_note(struct mirror_engine *m, const struct mirror_header *leaves);
void mirror_mark_order(struct mirror_engine *m, const struct order *o);
void mirror_mark_pump(struct mirror_engine *m);

#endif
