/* test_status.c - the status: empty "why" when all is well, a sentence for each
 * state that is not the good one, and the words of docs/control.md. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/events.h"
#include "agent/last_run.h"
#include "agent/protect.h"
#include "agent/status.h"
#include "agent/words.h"
#include "mirror/status.h"

static struct config config;
static struct cluster_status cluster;
static struct mirror_status engine;
static struct status_input input;

static void fill_config(void)
{
	config = (struct config){
		.mirror = "data",
		.cluster = true,
		.site_count = 2,
		.node_count = 3,
		.node = { { .name = "n1", .site = 0 },
			  { .name = "n2", .site = 1 },
			  { .name = "n3", .site = -1 } },
		.site = { { .name = "paris",
			    .disk_count = 1,
			    .disk = { { .name = "db" } } },
			  { .name = "lyon",
			    .disk_count = 1,
			    .disk = { { .name = "db" } } } },
	};
}

/* paris (n1) is production, lyon (n2) a current copy, n3 a witness: all is well. */
static void setup(void)
{
	fill_config();
	cluster = (struct cluster_status){
		.quorate = true,
		.view_in_effect = true,
		.serving_here = true,
		.production_site = 0,
		.production_node = 0,
		.promotion_score = 10000,
		.node_count = 3,
		.site_count = 2,
		.mirror = { { 1 } },
		.nodes = { { .member = true, .voter = true, .reach = 1 },
			   { .member = true, .voter = true, .reach = 2 },
			   { .member = true, .voter = true } },
		.sites = { { .role = CLUSTER_SITE_PRODUCTION,
			     .host = 0,
			     .current = true,
			     .data = DATA_UP_TO_DATE },
			   { .role = CLUSTER_SITE_COPY,
			     .host = 1,
			     .current = true,
			     .data = DATA_UP_TO_DATE,
			     .link = LINK_CONNECTED } },
		.history = { .count = 1,
			     .entry = { { .ordinal = 1,
					  .reason = GENERATION_CREATED } } },
	};
	engine = (struct mirror_status){
		.open = true,
		.serving = true,
		.data = DATA_UP_TO_DATE,
		.site = 0,
		.site_count = 2,
		.disk_count = 1,
		.log_bytes = 1000,
		.log_used_bytes = 250,
		.log_oldest_ms = 1500,
		.disk = { { 700, 512, 1, 4 } },
		.sites = { [1] = { .link = LINK_CONNECTED,
				   .lag_bytes = 7,
				   .map_extents = 2 } },
	};
	input = (struct status_input){
		.config = &config,
		.instance = "data",
		.node = 0,
		.cluster = &cluster,
		.mirror = &engine,
		.attach_text = "",
	};
}

static json_t *get(json_t *status, const char *member)
{
	json_t *value = json_object_get(status, member);

	ck_assert_msg(value != NULL, "no member %s", member);
	return value;
}

/* Is there exactly one reason, with `words` in it? */
static void only_because(const char *words)
{
	json_t *why = agent_status_why(&input);
	const char *text = json_string_value(json_array_get(why, 0));

	ck_assert_uint_eq(json_array_size(why), 1);
	ck_assert_msg(strstr(text, words) != NULL, "\"%s\" does not say \"%s\"", text,
		      words);
	json_decref(why);
}

START_TEST(writes_that_wait_for_a_required_copy_are_named)
{
	json_t *status;

	config.on_copy_loss = CONFIG_COPY_LOSS_BLOCK;
	cluster.sites[1].required = true;
	status = agent_status_json(&input);
	ck_assert_str_eq(json_string_value(get(status, "on_copy_loss")), "block");
	ck_assert(json_is_null(get(status, "missing_since")));
	ck_assert(json_is_true(get(json_array_get(get(status, "sites"), 1), "required")));
	json_decref(status);
	snprintf(cluster.missing_text, sizeof cluster.missing_text, "lyon is not there");
	only_because("Writes wait: lyon is not there.");
	cluster.missing_wall_ns = 1000000000ull;
	only_because("Writes wait since 1970-01-01T00:00:01.000Z: lyon is not there.");
	status = agent_status_json(&input);
	ck_assert_str_eq(json_string_value(get(status, "missing_since")),
			 "1970-01-01T00:00:01.000Z");
	json_decref(status);
}
END_TEST

START_TEST(all_is_well)
{
	json_t *status = agent_status_json(&input), *site, *mode, *disk;

	ck_assert_uint_eq(json_array_size(get(status, "why")), 0);
	mode = json_array_get(get(status, "modes"), 0);
	ck_assert_str_eq(json_string_value(mode), "connected");
	ck_assert_str_eq(json_string_value(get(get(status, "production"), "host")), "n1");
	ck_assert_int_eq(json_integer_value(get(get(status, "log"), "used_percent")), 25);
	ck_assert_int_eq(json_integer_value(get(get(status, "log"), "oldest_ms")), 1500);
	disk = json_array_get(get(status, "disks"), 0);
	ck_assert_int_eq(json_integer_value(get(disk, "sent_bytes")), 700);
	ck_assert_int_eq(json_integer_value(get(disk, "sent_data_bytes")), 512);
	ck_assert_int_eq(json_integer_value(get(disk, "sent_records")), 1);
	ck_assert_int_eq(json_integer_value(get(disk, "waiting_records")), 4);
	site = json_array_get(get(status, "sites"), 1);
	ck_assert_str_eq(json_string_value(get(site, "data")), "UpToDate");
	ck_assert_str_eq(json_string_value(get(site, "link")), "connected");
	ck_assert_int_eq(json_integer_value(get(site, "lag_bytes")), 7);
	ck_assert_int_eq(json_integer_value(get(site, "tracked_bytes")), 2 * 65536);
	ck_assert(json_is_null(get(site, "location")) &&
		  json_is_null(get(site, "rtt_us")) &&
		  json_is_null(get(site, "sent_bytes_per_s")));
	ck_assert(
		json_is_null(get(json_array_get(get(status, "sites"), 0), "lag_bytes")));
	json_decref(status);
}
END_TEST

/* The file, the last command and the view. */
static void mode_is(enum config_mode mode, uint64_t lag_bytes)
{
	config.mode = mode;
	config.lag_bytes = lag_bytes;
	cluster.promise = cluster.wanted = promise_of_config(&config);
}

START_TEST(in_async_a_linked_copy_has_no_fault)
{
	json_t *why;

	cluster.sites[1].current = false;
	only_because("Site lyon is not current");
	mode_is(CONFIG_ASYNC, 16 << 20);
	only_because("Site lyon is not near");
	mode_is(CONFIG_ASYNC, 0);
	why = agent_status_why(&input);
	ck_assert_uint_eq(json_array_size(why), 0);
	json_decref(why);
}
END_TEST

static struct status_device device[1];
static struct agent_protection protections[AGENT_PROTECTION_COUNT];

/* As in a container: the kernel refuses two of three. */
static void refuse_protections(void)
{
	setup();
	protections[AGENT_PROTECT_MEMORY_LOCK] = (struct agent_protection){
		.tried = true, .got = "locked"
	};
	protections[AGENT_PROTECT_IO_FLUSHER] = (struct agent_protection){ .tried = true,
									   .error = EPERM,
									   .got = "off" };
	protections[AGENT_PROTECT_OOM_SCORE] = (struct agent_protection){ .tried = true,
									  .error = EACCES,
									  .got = "0" };
	protections[AGENT_PROTECT_POOL] = (struct agent_protection){ 0 };
	input.protections = protections;
	input.devices = device;
}

/* Only while a device of this machine stands: then its memory may wait for us. */
START_TEST(what_is_not_protected_is_said_where_it_matters)
{
	json_t *why, *list, *flusher;

	refuse_protections();
	device[0] = (struct status_device){ 0 };
	why = agent_status_why(&input);
	ck_assert_uint_eq(json_array_size(why), 0);
	json_decref(why);
	strcpy(device[0].path, "/dev/hamirror/data/db");
	strcpy(device[0].front_end, "nbd");
	why = agent_status_why(&input);
	ck_assert_uint_eq(json_array_size(why), 2);
	ck_assert_str_eq(
		json_string_value(json_array_get(why, 0)),
		"The disks are devices here, by nbd, and io-flusher was asked for and is off "
		"(Operation not permitted): when memory is short the kernel may have this "
		"process wait for writes that it is to take itself: all stands still then, "
		"for good. It needs CAP_SYS_RESOURCE; hamirrord(8), MEMORY, says more.");
	json_decref(why);
	cluster.serving_here = false;
	why = agent_status_why(&input);
	ck_assert_uint_eq(json_array_size(why), 0);
	json_decref(why);
	list = agent_status_protections(&input);
	ck_assert_uint_eq(json_array_size(list), AGENT_PROTECTION_COUNT);
	flusher = json_array_get(list, AGENT_PROTECT_IO_FLUSHER);
	ck_assert_str_eq(json_string_value(get(flusher, "name")), "io-flusher");
	ck_assert_str_eq(json_string_value(get(flusher, "got")), "off");
	ck_assert_str_eq(json_string_value(get(flusher, "error")),
			 "Operation not permitted");
	ck_assert(json_is_null(
		get(json_array_get(list, AGENT_PROTECT_MEMORY_LOCK), "error")));
	ck_assert(json_is_null(get(json_array_get(list, AGENT_PROTECT_POOL), "got")));
	json_decref(list);
}
END_TEST

/* Without a cluster no member says it. */
START_TEST(another_file_is_named_where_it_was_refused)
{
	json_t *why;

	strcpy(engine.unlike_text,
	       "the file of paris has mode: sync, that of lyon near-sync");
	why = agent_status_why(&input);
	ck_assert_uint_eq(json_array_size(why), 0);
	json_decref(why);
	config.cluster = false;
	only_because("The other site was refused: the file of paris has mode: sync");
}
END_TEST

/* Past, and no state: `why` has it beside its list, unless it was in order. */
START_TEST(the_last_run_is_a_note)
{
	struct agent_last_run past = { .end = AGENT_RUN_KILLED,
				       .text = "The last run ended without a word" };
	json_t *notes, *o, *why;

	input.last_run = &past;
	notes = agent_status_notes(&input);
	ck_assert_uint_eq(json_array_size(notes), 1);
	json_decref(notes);
	why = agent_status_why(&input);
	ck_assert_uint_eq(json_array_size(why), 0);
	json_decref(why);
	o = agent_status_last_run(&past);
	ck_assert_str_eq(json_string_value(get(o, "ended")), "killed");
	ck_assert(json_is_null(get(o, "time")));
	json_decref(o);
	past = (struct agent_last_run){ .end = AGENT_RUN_ORDERLY,
					.wall_ns = 1000000000,
					.text = "The last run ended in order" };
	notes = agent_status_notes(&input);
	ck_assert_uint_eq(json_array_size(notes), 0);
	json_decref(notes);
	o = agent_status_last_run(&past);
	ck_assert_str_eq(json_string_value(get(o, "time")), "1970-01-01T00:00:01.000Z");
	json_decref(o);
	past = (struct agent_last_run){ .end = AGENT_RUN_NONE };
	o = agent_status_last_run(&past);
	ck_assert(json_is_null(o));
	json_decref(o);
}
END_TEST

START_TEST(every_bad_state_has_its_sentence)
{
	cluster.quorate = false;
	only_because("without quorum");
	setup();
	cluster.view_in_effect = false;
	only_because("No view is in effect");
	setup();
	cluster.nodes[2].member = false;
	only_because("n3 is not a member");
	setup();
	cluster.sites[1].host = -1;
	only_because("Site lyon has no host");
	setup();
	cluster.sites[1].current = false;
	cluster.sites[1].data = DATA_OUTDATED;
	only_because("its data is Outdated");
	setup();
	engine.frozen = true;
	strcpy(engine.frozen_text, "lyon has not confirmed for 3 s");
	only_because("Writes are frozen: lyon");
	setup();
	input.mirror = NULL;
	only_because("did not answer");
	setup();
	input.attach_text = "the kernel has no nbd";
	only_because("no nbd");
	setup();
	input.corosync_text = "The lease is 2000 ms, and Corosync's token is 3000.";
	only_because("The lease is 2000 ms");
	setup();
	input.votes_text = "Corosync has 3 of 5 votes, and needs 3";
	only_because("3 of 5 votes");
	setup();
	engine.sites[1].lost_count = 4;
	engine.sites[1].back_off_ms = 5500;
	only_because("writes wait for it again in 6 s at the earliest");
	engine.sites[1].waited = true;
	only_because("and writes wait for it each time: `hamirror disconnect");
	setup();
	engine.sites[1].bypass = true;
	engine.sites[1].outrun_count = 3;
	engine.sites[1].retry_ms = 239001;
	only_because("3 times in a row. Its refresh begins in 240 s, or at once by ");
	engine.sites[1].retry_ms = 0;
	only_because("in bypass until its refresh ends");
	engine.sites[1].paced = true;
	only_because("Writes wait for the refresh of site lyon, by command");
	setup();
	engine.throttle_left_ms = 1;
	engine.throttle_sleep_us = 700;
	only_because("By a throttle 700 us lie between two records");
	engine.throttle_sleep_us = 0;
	engine.throttle_bytes_per_s = 1 << 20;
	only_because("By bandwidth at most 1024 KiB a second");
	engine.throttle_bytes_per_s = 0;
	engine.throttle_delay_us = 900;
	only_because("By a throttle each write takes 900 us longer");
}
END_TEST

/* Production's own sentence about its link stands for the members' one. */
START_TEST(reasons_of_a_link_are_given_once)
{
	strcpy(cluster.sites[1].text, "not connected");
	strcpy(engine.sites[1].link_text, "lyon refuses: another mirror");
	engine.sites[1].link = LINK_DOWN;
	only_because("lyon refuses: another mirror");
}
END_TEST

/* The engine of a copy knows nothing of the other copies. */
START_TEST(a_copy_shows_no_lag)
{
	json_t *status, *site;

	engine.serving = false;
	engine.site = 1;
	status = agent_status_json(&input);
	site = json_array_get(get(status, "sites"), 1);
	ck_assert(json_is_null(get(site, "lag_bytes")));
	json_decref(status);
}
END_TEST

START_TEST(text_cut_inside_a_character_is_still_json)
{
	json_t *status;
	char *text;

	strcpy(cluster.nodes[1].text, "h\xc3");
	status = agent_status_json(&input);
	text = json_dumps(status, 0);
	ck_assert_ptr_nonnull(text);
	ck_assert_ptr_nonnull(strstr(text, "h?"));
	free(text);
	json_decref(status);
}
END_TEST

/* Without a cluster: nobody is a member, and the one end of a link knows little. */
START_TEST(a_pair_says_only_what_it_knows)
{
	json_t *status;

	config.cluster = false;
	config.node_count = 2;
	cluster.nodes[1].member = false;
	cluster.sites[1].host = -1;
	cluster.sites[1].current = true;
	strcpy(cluster.sites[1].text, "cannot be reached, and writes wait for it");
	strcpy(engine.sites[1].link_text, "Connection refused");
	engine.sites[1].link = LINK_DOWN;
	only_because("Site lyon: cannot be reached, and writes wait for it; its link: "
		     "Connection refused.");
	/* the copy does not know whether writes wait for it */
	setup();
	config.cluster = cluster.serving_here = engine.serving = false;
	engine.site = 1;
	cluster.sites[1].current = false;
	cluster.sites[1].data = DATA_CONSISTENT;
	status = agent_status_json(&input);
	ck_assert(json_is_null(get(json_array_get(get(status, "sites"), 1), "current")));
	ck_assert(json_is_true(get(json_array_get(get(status, "sites"), 0), "current")));
	ck_assert_uint_eq(json_array_size(get(status, "why")), 0);
	json_decref(status);
}
END_TEST

/* A device that failed stays given up; without a cluster nobody but the operator mends that. */
START_TEST(a_failed_device_says_what_to_do)
{
	json_t *why;

	strcpy(cluster.text, "disk db (/srv/db): writing failed");
	strcpy(engine.failed_text, cluster.text);
	strcpy(cluster.nodes[0].text, cluster.text); /* so this member tells the others */
	only_because(cluster.text);
	config.cluster = false;
	why = agent_status_why(&input);
	ck_assert_uint_eq(json_array_size(why), 2);
	ck_assert_str_eq(json_string_value(json_array_get(why, 1)),
			 "A device that failed is not tried again: mend it, then "
			 "`hamirror stop data` and `hamirror start data`.");
	json_decref(why);
}
END_TEST

static char last_object[64], site_text[2][256];
static int count;

static void add(void *data, const struct agent_event *event)
{
	(void)data;
	ck_assert_str_eq(event->verb, "exists");
	ck_assert_uint_eq(event->number, input.event);
	strcpy(last_object, event->object);
	if (strncmp(event->object, "site ", 5) == 0)
		snprintf(site_text[count - 4], sizeof site_text[0], "%s", event->text);
	count++;
}

/* `reachable` of the needs of a node: "yyn" for log, disk and address; '?': not known. */
static const char *needs(uint32_t node)
{
	static char text[8];
	json_t *list = agent_status_needs(&input, node), *one;
	size_t i;

	memset(text, 0, sizeof text);
	json_array_foreach(list, i, one)
	{
		const json_t *reachable = json_object_get(one, "reachable");

		text[i] = json_is_null(reachable) ? '?' :
			  json_is_true(reachable) ? 'y' :
						    'n';
	}
	json_decref(list);
	return text;
}

START_TEST(needs_are_those_of_the_own_site)
{
	ck_assert_str_eq(needs(0), "yyy");
	ck_assert_str_eq(needs(1), "yyy");
	ck_assert_str_eq(needs(2), ""); /* a witness */
	cluster.nodes[1].reach = 1;     /* production's disks, not its own */
	cluster.sites[1].link = LINK_CONNECTING;
	ck_assert_str_eq(needs(1), "nnn");
	cluster.nodes[1].member = false;
	cluster.sites[1].host = -1;
	ck_assert_str_eq(needs(1), "???");
	input.listen_text = "port 7790 is in use";
	ck_assert_str_eq(needs(0), "yyn");
}
END_TEST

START_TEST(exists_ends_with_a_dash)
{
	input.event = 41;
	cluster.sites[0].current = false; /* of the members' set of copies */
	agent_status_exists(&input, add, NULL);
	ck_assert_str_eq(last_object, "-");
	ck_assert_int_eq(count, 1 + 3 + 2 + 1 + 1); /* mirror, nodes, sites, disk, dash */
	/* as in the status: production is current, and has no link to itself */
	ck_assert_ptr_nonnull(strstr(site_text[0], "role:production "));
	ck_assert_ptr_nonnull(strstr(site_text[0], " current:yes"));
	ck_assert_ptr_null(strstr(site_text[0], "link:"));
	ck_assert_ptr_nonnull(strstr(site_text[1], " link:"));
}
END_TEST

START_TEST(uuids_are_read_as_they_are_written)
{
	struct uuid a, b;
	char text[AGENT_UUID_TEXT_BYTES];

	for (size_t i = 0; i < sizeof a.byte; i++)
		a.byte[i] = (uint8_t)(i * 17);
	agent_uuid_format(&a, text);
	ck_assert_str_eq(text, "00112233-4455-6677-8899-aabbccddeeff");
	ck_assert_int_eq(agent_uuid_parse(text, &b), 0);
	ck_assert(uuid_equal(&a, &b));
	ck_assert_int_lt(agent_uuid_parse("00112233-4455-6677-8899-aabbccddeef", &b), 0);
	ck_assert_int_lt(agent_uuid_parse("00112233-4455-6677-8899-aabbccddeeffa", &b),
			 0);
	ck_assert_int_lt(agent_uuid_parse("00112233445566778899aabbccddeeff", &b), 0);
	ck_assert_int_lt(agent_uuid_parse("", &b), 0);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("status");
	Suite *s = suite_create("agent");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, all_is_well);
	tcase_add_test(tc, in_async_a_linked_copy_has_no_fault);
	tcase_add_test(tc, writes_that_wait_for_a_required_copy_are_named);
	tcase_add_test(tc, every_bad_state_has_its_sentence);
	tcase_add_test(tc, what_is_not_protected_is_said_where_it_matters);
	tcase_add_test(tc, another_file_is_named_where_it_was_refused);
	tcase_add_test(tc, the_last_run_is_a_note);
	tcase_add_test(tc, reasons_of_a_link_are_given_once);
	tcase_add_test(tc, a_copy_shows_no_lag);
	tcase_add_test(tc, a_pair_says_only_what_it_knows);
	tcase_add_test(tc, a_failed_device_says_what_to_do);
	tcase_add_test(tc, text_cut_inside_a_character_is_still_json);
	tcase_add_test(tc, needs_are_those_of_the_own_site);
	tcase_add_test(tc, exists_ends_with_a_dash);
	tcase_add_test(tc, uuids_are_read_as_they_are_written);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
