# Unit tests: a new tests/unit/test_X.c is one line in unit_tests. Each is linked
# with the cores; one that needs more sets tests_unit_test_X_LDADD below.
LDADD = libmirror.la libcluster.la libcommon.la $(CHECK_LIBS)
agent_test_libraries = $(agent_libraries) $(CHECK_LIBS)

unit_tests = \
	tests/unit/test_acknowledged \
	tests/unit/test_alone \
	tests/unit/test_alone_devices \
	tests/unit/test_alone_promote \
	tests/unit/test_attach \
	tests/unit/test_block \
	tests/unit/test_cluster \
	tests/unit/test_config \
	tests/unit/test_config_mode \
	tests/unit/test_config_write \
	tests/unit/test_control \
	tests/unit/test_crc \
	tests/unit/test_create \
	tests/unit/test_days \
	tests/unit/test_descriptor \
	tests/unit/test_devices \
	tests/unit/test_disk_driver \
	tests/unit/test_disk_identity_driver \
	tests/unit/test_disk_open_driver \
	tests/unit/test_engine \
	tests/unit/test_engine_failures \
	tests/unit/test_engine_drain \
	tests/unit/test_engine_hangs \
	tests/unit/test_engine_refresh \
	tests/unit/test_engine_alone \
	tests/unit/test_engine_block \
	tests/unit/test_engine_cut \
	tests/unit/test_engine_modes \
	tests/unit/test_engine_home \
	tests/unit/test_engine_near \
	tests/unit/test_engine_recover \
	tests/unit/test_engine_roles \
	tests/unit/test_engine_sites \
	tests/unit/test_engine_throttle \
	tests/unit/test_events \
	tests/unit/test_evidence \
	tests/unit/test_fence \
	tests/unit/test_fence_driver \
	tests/unit/test_names \
	tests/unit/test_news \
	tests/unit/test_news_pace \
	tests/unit/test_force \
	tests/unit/test_gate \
	tests/unit/test_history \
	tests/unit/test_index \
	tests/unit/test_io_driver \
	tests/unit/test_io_spin_driver \
	tests/unit/test_join \
	tests/unit/test_last_words \
	tests/unit/test_lease \
	tests/unit/test_link_driver \
	tests/unit/test_link_listen_driver \
	tests/unit/test_link_news_driver \
	tests/unit/test_map \
	tests/unit/test_message \
	tests/unit/test_move \
	tests/unit/test_nbd \
	tests/unit/test_nbd_client \
	tests/unit/test_nbd_driver \
	tests/unit/test_nbd_fuzz \
	tests/unit/test_nbd_queue \
	tests/unit/test_nbd_places \
	tests/unit/test_nbd_refusal_driver \
	tests/unit/test_node \
	tests/unit/test_paths \
	tests/unit/test_perf \
	tests/unit/test_pool \
	tests/unit/test_promise \
	tests/unit/test_queue \
	tests/unit/test_quorum \
	tests/unit/test_record \
	tests/unit/test_request \
	tests/unit/test_ring \
	tests/unit/test_role \
	tests/unit/test_role_copies \
	tests/unit/test_role_modes \
	tests/unit/test_round \
	tests/unit/test_scan \
	tests/unit/test_scan_broken \
	tests/unit/test_scan_laps \
	tests/unit/test_score \
	tests/unit/test_stamp \
	tests/unit/test_status \
	tests/unit/test_superblock \
	tests/unit/test_task \
	tests/unit/test_task_order \
	tests/unit/test_throttle \
	tests/unit/test_ublk \
	tests/unit/test_ublk_driver \
	tests/unit/test_vectors \
	tests/unit/test_verb \
	tests/unit/test_watch_http \
	tests/unit/test_watch_metrics \
	tests/unit/test_watch_throttle \
	tests/unit/test_view \
	tests/unit/test_voter_format \
	tests/unit/test_voter_file_driver \
	tests/unit/test_wire \
	tests/unit/test_yield

# The drivers under a scripted core, which stands in for the engine's objects.
driver_test_libraries = libmirror_drivers.la libmirror.la libcommon.la $(CHECK_LIBS)
driver_rig = tests/unit/driver_rig.c tests/unit/driver_rig.h
site_folder = tests/unit/site_folder.c tests/unit/site_folder.h
tests_unit_test_disk_driver_SOURCES = tests/unit/test_disk_driver.c $(driver_rig) \
	$(site_folder)
tests_unit_test_disk_driver_LDADD = $(driver_test_libraries)
tests_unit_test_disk_identity_driver_SOURCES = \
	tests/unit/test_disk_identity_driver.c $(site_folder)
tests_unit_test_disk_identity_driver_LDADD = $(driver_test_libraries)
tests_unit_test_disk_open_driver_SOURCES = tests/unit/test_disk_open_driver.c $(site_folder)
tests_unit_test_disk_open_driver_LDADD = $(driver_test_libraries)
tests_unit_test_io_driver_SOURCES = tests/unit/test_io_driver.c $(driver_rig)
tests_unit_test_io_driver_LDADD = $(driver_test_libraries)
tests_unit_test_io_spin_driver_LDADD = $(driver_test_libraries)
tests_unit_test_link_driver_SOURCES = tests/unit/test_link_driver.c $(driver_rig)
tests_unit_test_link_driver_LDADD = $(driver_test_libraries)
tests_unit_test_link_listen_driver_SOURCES = tests/unit/test_link_listen_driver.c \
	$(driver_rig)
tests_unit_test_link_listen_driver_LDADD = $(driver_test_libraries)
tests_unit_test_link_news_driver_SOURCES = tests/unit/test_link_news_driver.c $(driver_rig)
tests_unit_test_link_news_driver_LDADD = $(driver_test_libraries)
tests_unit_test_ublk_driver_LDADD = $(driver_test_libraries)

# The NBD front-end over a core whose disks are memory; a program serves these to
# real clients.
nbd_memory = tests/unit/nbd_memory.c tests/unit/nbd_memory.h
nbd_peer = tests/unit/nbd_peer.c tests/unit/nbd_peer.h
tests_unit_test_nbd_driver_SOURCES = tests/unit/test_nbd_driver.c $(nbd_memory) $(nbd_peer)
tests_unit_test_nbd_driver_LDADD = $(driver_test_libraries)
tests_unit_test_nbd_refusal_driver_SOURCES = tests/unit/test_nbd_refusal_driver.c \
	$(nbd_memory) $(nbd_peer)
tests_unit_test_nbd_refusal_driver_LDADD = $(driver_test_libraries)
tests_unit_test_attach_SOURCES = tests/unit/test_attach.c $(nbd_memory)
tests_unit_test_attach_LDADD = libagent.la $(driver_test_libraries) $(QB_LIBS)
check_PROGRAMS += tests/system/nbd_memory
tests_system_nbd_memory_SOURCES = tests/system/nbd_memory.c $(nbd_memory)
tests_system_nbd_memory_LDADD = $(driver_test_libraries)

# A client of any NBD server, for the system tests.
check_PROGRAMS += tests/system/nbd_records
tests_system_nbd_records_SOURCES = tests/system/nbd_records.c
tests_system_nbd_records_CPPFLAGS = $(AM_CPPFLAGS) $(NBD_CFLAGS)
tests_system_nbd_records_LDADD = $(NBD_LIBS)
check_PROGRAMS += tests/system/line
tests_system_line_SOURCES = tests/system/line.c
check_PROGRAMS += tests/bench/bound
tests_bench_bound_SOURCES = tests/bench/bound.c tests/bench/bound_begin.c \
	tests/bench/bound_begin.h
tests_bench_bound_LDADD = $(URING_LIBS)

# NBD connections over a toy engine.
nbd_toy = tests/unit/nbd_toy.c tests/unit/nbd_toy.h
tests_unit_test_nbd_client_SOURCES = tests/unit/test_nbd_client.c $(nbd_toy)
tests_unit_test_nbd_fuzz_SOURCES = tests/unit/test_nbd_fuzz.c $(nbd_toy)
tests_unit_test_nbd_queue_SOURCES = tests/unit/test_nbd_queue.c $(nbd_toy)

# The members: several cores together (members), or one and a test that plays the
# others (solo).
members = tests/unit/members.c tests/unit/members.h tests/unit/members_io.c \
	tests/unit/members_ring.c tests/unit/solo.c tests/unit/solo.h
alone = tests/unit/alone_play.c tests/unit/alone_play.h $(members)
tests_unit_test_alone_SOURCES = tests/unit/test_alone.c $(alone)
tests_unit_test_alone_promote_SOURCES = tests/unit/test_alone_promote.c $(alone)
tests_unit_test_alone_devices_SOURCES = tests/unit/test_alone_devices.c $(members)
tests_unit_test_block_SOURCES = tests/unit/test_block.c $(members)
tests_unit_test_cluster_SOURCES = tests/unit/test_cluster.c $(members)
tests_unit_test_days_SOURCES = tests/unit/test_days.c $(members) \
	tests/unit/members_play.c tests/unit/members_play.h
tests_unit_test_names_SOURCES = tests/unit/test_names.c
tests_unit_test_news_SOURCES = tests/unit/test_news.c $(members)
tests_unit_test_fence_SOURCES = tests/unit/test_fence.c $(members)
tests_unit_test_force_SOURCES = tests/unit/test_force.c $(members)
tests_unit_test_join_SOURCES = tests/unit/test_join.c $(members)
tests_unit_test_lease_SOURCES = tests/unit/test_lease.c $(members)
tests_unit_test_message_SOURCES = tests/unit/test_message.c $(members)
tests_unit_test_quorum_SOURCES = tests/unit/test_quorum.c
tests_unit_test_role_SOURCES = tests/unit/test_role.c $(members)
tests_unit_test_role_copies_SOURCES = tests/unit/test_role_copies.c $(members)
tests_unit_test_role_modes_SOURCES = tests/unit/test_role_modes.c $(members)
tests_unit_test_round_SOURCES = tests/unit/test_round.c $(members)
tests_unit_test_score_SOURCES = tests/unit/test_score.c $(members)
tests_unit_test_view_SOURCES = tests/unit/test_view.c $(members)
tests_unit_test_voter_format_SOURCES = tests/unit/test_voter_format.c $(members)

# The tests of agent/.
tests_unit_test_config_LDADD = $(agent_test_libraries)
tests_unit_test_config_mode_LDADD = $(agent_test_libraries)
tests_unit_test_config_write_LDADD = $(agent_test_libraries)
tests_unit_test_verb_LDADD = $(agent_test_libraries)
tests_unit_test_throttle_LDADD = $(agent_test_libraries)
tests_unit_test_watch_http_LDADD = $(watch_libraries) $(CHECK_LIBS)
tests_unit_test_watch_metrics_LDADD = $(agent_test_libraries)
tests_unit_test_perf_LDADD = $(agent_test_libraries)
tests_unit_test_watch_throttle_LDADD = $(agent_test_libraries)
tests_unit_test_control_LDADD = $(agent_test_libraries)
tests_unit_test_create_LDADD = $(agent_test_libraries)
tests_unit_test_devices_LDADD = $(agent_test_libraries)
tests_unit_test_events_LDADD = $(agent_test_libraries)
tests_unit_test_fence_driver_LDADD = $(agent_test_libraries)
tests_unit_test_last_words_LDADD = $(agent_test_libraries)
tests_unit_test_request_LDADD = $(agent_test_libraries)
tests_unit_test_news_pace_LDADD = $(agent_test_libraries)
tests_unit_test_node_LDADD = $(agent_test_libraries)
tests_unit_test_paths_LDADD = $(agent_test_libraries)
tests_unit_test_status_LDADD = $(agent_test_libraries)
tests_unit_test_voter_file_driver_LDADD = $(agent_test_libraries)


# Whole engines of two or three sites.
engine_pair = \
	tests/unit/pair.c \
	tests/unit/pair.h \
	tests/unit/pair_client.c \
	tests/unit/pair_io.c \
	tests/unit/pair_order.c \
	tests/unit/pair_play.c \
	tests/unit/pair_play.h \
	tests/unit/pair_private.h
tests_unit_test_engine_SOURCES = tests/unit/test_engine.c $(engine_pair)
tests_unit_test_engine_failures_SOURCES = tests/unit/test_engine_failures.c $(engine_pair)
tests_unit_test_engine_drain_SOURCES = tests/unit/test_engine_drain.c $(engine_pair)
tests_unit_test_engine_hangs_SOURCES = tests/unit/test_engine_hangs.c $(engine_pair)
tests_unit_test_engine_refresh_SOURCES = tests/unit/test_engine_refresh.c $(engine_pair)
tests_unit_test_engine_alone_SOURCES = tests/unit/test_engine_alone.c $(engine_pair)
tests_unit_test_engine_block_SOURCES = tests/unit/test_engine_block.c $(engine_pair)
tests_unit_test_engine_roles_SOURCES = tests/unit/test_engine_roles.c $(engine_pair)
tests_unit_test_engine_sites_SOURCES = tests/unit/test_engine_sites.c $(engine_pair)
tests_unit_test_engine_modes_SOURCES = tests/unit/test_engine_modes.c $(engine_pair)
tests_unit_test_engine_home_SOURCES = tests/unit/test_engine_home.c $(engine_pair)
tests_unit_test_engine_near_SOURCES = tests/unit/test_engine_near.c $(engine_pair)
tests_unit_test_engine_cut_SOURCES = tests/unit/test_engine_cut.c $(engine_pair)
tests_unit_test_engine_recover_SOURCES = tests/unit/test_engine_recover.c $(engine_pair)
tests_unit_test_engine_throttle_SOURCES = tests/unit/test_engine_throttle.c $(engine_pair)

# The simulator: the cores that ship in a world where everything goes wrong.
check_PROGRAMS += tests/sim/sim
tests_sim_sim_SOURCES = \
	tests/sim/batch.c \
	tests/sim/check_alone.c \
	tests/sim/check_async.c \
	tests/sim/check_bare.c \
	tests/sim/check_block.c \
	tests/sim/check_d.c \
	tests/sim/check_d3.c \
	tests/sim/check_d5.c \
	tests/sim/check_g1.c \
	tests/sim/check_g2.c \
	tests/sim/check_g3.c \
	tests/sim/check_g4.c \
	tests/sim/check_g5.c \
	tests/sim/check_g6.c \
	tests/sim/check_g7.c \
	tests/sim/check_g8.c \
	tests/sim/check_m.c \
	tests/sim/check_m.h \
	tests/sim/check_move.c \
	tests/sim/check_undo.c \
	tests/sim/check_w.c \
	tests/sim/checker.h \
	tests/sim/device.h \
	tests/sim/client.c \
	tests/sim/command.c \
	tests/sim/disk.c \
	tests/sim/fault.c \
	tests/sim/hold.c \
	tests/sim/hold.h \
	tests/sim/journal.c \
	tests/sim/line.c \
	tests/sim/main.c \
	tests/sim/move.h \
	tests/sim/node.c \
	tests/sim/operator.c \
	tests/sim/operator.h \
	tests/sim/pacemaker.c \
	tests/sim/plan.c \
	tests/sim/plan.h \
	tests/sim/random.h \
	tests/sim/ring.c \
	tests/sim/run.c \
	tests/sim/run.h \
	tests/sim/scenario.c \
	tests/sim/scenario.h \
	tests/sim/scenario_alone.c \
	tests/sim/scenario_async.c \
	tests/sim/scenario_block.c \
	tests/sim/scenario_near.c \
	tests/sim/scenario_home.c \
	tests/sim/scenario_clients.c \
	tests/sim/scenario_copies.c \
	tests/sim/scenario_disks.c \
	tests/sim/scenario_forced.c \
	tests/sim/scenario_forward.c \
	tests/sim/scenario_hosts.c \
	tests/sim/scenario_leases.c \
	tests/sim/scenario_line.c \
	tests/sim/scenario_log.c \
	tests/sim/scenario_modes.c \
	tests/sim/scenario_move.c \
	tests/sim/scenario_play.c \
	tests/sim/scenario_promotion.c \
	tests/sim/scenario_refresh.c \
	tests/sim/scenario_views.c \
	tests/sim/settle.c \
	tests/sim/setup.c \
	tests/sim/shrink.c \
	tests/sim/sim.h \
	tests/sim/sum.c \
	tests/sim/world.c
tests_sim_sim_LDADD = libmirror.la libcluster.la libcommon.la
EXTRA_DIST += tests/sim/README.md tests/sim/check tests/sim/check_scenarios
TESTS += tests/sim/check tests/sim/check_scenarios

# Mutations of the cores, and the test that the simulator finds each.
EXTRA_DIST += \
	tests/sim/mutate \
	tests/sim/seeds \
	tests/sim/transcripts \
	tests/sim/mutants

log_model = tests/unit/log_model.c tests/unit/log_model.h
tests_unit_test_scan_SOURCES = tests/unit/test_scan.c $(log_model)
tests_unit_test_scan_laps_SOURCES = tests/unit/test_scan_laps.c $(log_model)
tests_unit_test_scan_broken_SOURCES = tests/unit/test_scan_broken.c $(log_model)
tests_unit_test_vectors_SOURCES = \
	tests/unit/test_vectors.c \
	tests/unit/vector_samples.c \
	tests/unit/vector_samples.h

# The bytes of every format; `check` writes them down a second time.
TESTS += tests/vectors/check
EXTRA_DIST += \
	tests/vectors/check \
	tests/vectors/descriptor_mark.hex \
	tests/vectors/descriptor_pad.hex \
	tests/vectors/descriptor_records.hex \
	tests/vectors/frame_confirm.hex \
	tests/vectors/frame_demoted.hex \
	tests/vectors/frame_flush.hex \
	tests/vectors/frame_home.hex \
	tests/vectors/frame_hello.hex \
	tests/vectors/frame_map.hex \
	tests/vectors/frame_marks.hex \
	tests/vectors/frame_news.hex \
	tests/vectors/frame_record.hex \
	tests/vectors/frame_refresh_begin.hex \
	tests/vectors/frame_refresh_end.hex \
	tests/vectors/frame_refresh_ready.hex \
	tests/vectors/frame_refuse.hex \
	tests/vectors/frame_roll_end.hex \
	tests/vectors/frame_welcome.hex \
	tests/vectors/header_flush.hex \
	tests/vectors/header_write.hex \
	tests/vectors/header_zero.hex \
	tests/vectors/map_block.hex \
	tests/vectors/superblock.hex

# Those that start threads: the ThreadSanitizer build runs only them. The cores are
# of one thread, and slow under it.
thread_tests = \
	tests/unit/test_attach \
	tests/unit/test_disk_driver \
	tests/unit/test_io_driver \
	tests/unit/test_link_driver \
	tests/unit/test_link_listen_driver \
	tests/unit/test_link_news_driver \
	tests/unit/test_nbd_driver \
	tests/unit/test_nbd_refusal_driver \
	tests/unit/test_queue \
	tests/unit/test_watch_http

check_PROGRAMS += $(unit_tests)
unit_scripts = tests/unit/test_cli.py tests/unit/test_cli_all.py tests/unit/test_cli_check.py \
	tests/unit/test_cli_complete.py tests/unit/test_cli_config.py \
	tests/unit/test_cli_everywhere.py \
	tests/unit/test_cli_watch.py tests/unit/test_cli_wizard.py \
	tests/unit/test_watch_pace.py \
	tests/unit/test_watch_stream.py \
	tests/unit/test_writer.py
TESTS += $(unit_tests) $(unit_scripts)
EXTRA_DIST += $(unit_scripts)

# A test that hangs is a failure, not a hung build. Nothing else is bounded: on a machine
# that does ten other things each takes its time (tests/unit/patience.h).
AM_TESTS_ENVIRONMENT = CK_DEFAULT_TIMEOUT=600; export CK_DEFAULT_TIMEOUT;
LOG_COMPILER = $(RUNNER) timeout
AM_LOG_FLAGS = 1800
PY_LOG_COMPILER = $(LOG_COMPILER)
AM_PY_LOG_FLAGS = $(AM_LOG_FLAGS)
TEST_EXTENSIONS = .py

# The rules of the tree itself (tests/lint/README).
lint_checks = \
	tests/lint/check_build_lists \
	tests/lint/check_docs \
	tests/lint/check_format \
	tests/lint/check_headers \
	tests/lint/check_hints \
	tests/lint/check_includes \
	tests/lint/check_man \
	tests/lint/check_mutants \
	tests/lint/check_owners \
	tests/lint/check_scripts \
	tests/lint/check_sizes \
	tests/lint/check_symbols \
	tests/lint/check_words
TESTS += $(lint_checks)
EXTRA_DIST += tests/unit/free_port.h tests/unit/patience.h tests/unit/property.h \
	tests/unit/same.h
EXTRA_DIST += $(lint_checks) tests/lint/listing.py tests/lint/run tests/lint/README

# The models of the members' rules, for Spin; `./try check` runs them.
EXTRA_DIST += \
	tests/model/README.md \
	tests/model/check \
	tests/model/alone.pml \
	tests/model/host.pml \
	tests/model/jobs \
	tests/model/lease.pml \
	tests/model/near.pml \
	tests/model/promise.pml \
	tests/model/tie.pml \
	tests/model/view.pml

# The lab, the drill, and what runs in them.
EXTRA_DIST += \
	tests/system/drill \
	tests/system/examples.sh \
	tests/system/fence_testbed \
	tests/system/free_port \
	tests/system/lab.sh \
	tests/system/nbd_hold \
	tests/system/ocf.sh \
	tests/system/run \
	tests/system/testbed \
	tests/system/writer
