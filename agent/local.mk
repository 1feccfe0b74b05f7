# libagent.la: all of agent/ but the two mains, so that unit tests can link it.
noinst_LTLIBRARIES += libagent.la
libagent_la_SOURCES = \
	agent/accept.c \
	agent/accept.h \
	agent/attach.c \
	agent/attach.h \
	agent/attach_export.c \
	agent/attach_fuse.c \
	agent/attach_helper.c \
	agent/attach_helper.h \
	agent/attach_kernel.c \
	agent/attach_mounts.c \
	agent/attach_mounts.h \
	agent/attach_process.c \
	agent/attach_ublk.c \
	agent/check.h \
	agent/check_host.c \
	agent/check_peers.c \
	agent/config.c \
	agent/config.h \
	agent/config_agreed.c \
	agent/config_change.c \
	agent/config_change.h \
	agent/config_check.c \
	agent/config_print.c \
	agent/config_print_throttles.c \
	agent/config_read.c \
	agent/config_read.h \
	agent/config_throttles.c \
	agent/config_throttles.h \
	agent/config_walk.c \
	agent/config_walk.h \
	agent/corosync_check.c \
	agent/corosync_check.h \
	agent/config_warn.c \
	agent/config_words.c \
	agent/config_write.c \
	agent/config_write.h \
	agent/control.c \
	agent/control.h \
	agent/create.c \
	agent/create.h \
	agent/device_failure.c \
	agent/device_failure.h \
	agent/device_info.c \
	agent/device_info.h \
	agent/device_nodes.c \
	agent/device_nodes.h \
	agent/events.c \
	agent/events.h \
	agent/files.c \
	agent/files.h \
	agent/io_thread.c \
	agent/io_thread.h \
	agent/json_path.c \
	agent/json_path.h \
	agent/last_run.c \
	agent/last_run.h \
	agent/last_words.c \
	agent/last_words.h \
	agent/limits.c \
	agent/limits.h \
	agent/log.c \
	agent/log.h \
	agent/log_file.c \
	agent/log_file.h \
	agent/news.c \
	agent/news.h \
	agent/node.c \
	agent/node.h \
	agent/node_events.c \
	agent/node_events.h \
	agent/notify.c \
	agent/notify.h \
	agent/paths.c \
	agent/paths.h \
	agent/perf.h \
	agent/perf_file.c \
	agent/perf_plot.c \
	agent/perf_row.c \
	agent/perf_svg.c \
	agent/presence.c \
	agent/presence.h \
	agent/probe.c \
	agent/probe.h \
	agent/protect.c \
	agent/protect.h \
	agent/reach.c \
	agent/reach.h \
	agent/recover.c \
	agent/recover.h \
	agent/reply.c \
	agent/reply.h \
	agent/request.c \
	agent/request.h \
	agent/scan.c \
	agent/scan.h \
	agent/scan_head.c \
	agent/scan_head.h \
	agent/scout.c \
	agent/scout.h \
	agent/self.c \
	agent/self.h \
	agent/status.c \
	agent/status_block.c \
	agent/status_disks.c \
	agent/status_counters.c \
	agent/status_exists.c \
	agent/status_link.c \
	agent/status_needs.c \
	agent/status_past.c \
	agent/status_promise.c \
	agent/status_protect.c \
	agent/status_waits.c \
	agent/switch.c \
	agent/switch.h \
	agent/status.h \
	agent/throttle.c \
	agent/throttle.h \
	agent/verb.c \
	agent/verb.h \
	agent/watch_figures.c \
	agent/watch_figures.h \
	agent/watch_metrics.c \
	agent/watch_metrics.h \
	agent/watch_process.c \
	agent/watch_process.h \
	agent/watch_run.c \
	agent/watch_run.h \
	agent/words.c \
	agent/words.h

# The daemon and the command link everything; the order is agent, drivers, cores.
agent_libraries = libagent.la libmirror_drivers.la libcluster_drivers.la \
	libmirror.la libcluster.la libcommon.la $(YAML_LIBS) $(JANSSON_LIBS) $(QB_LIBS)

sbin_PROGRAMS += hamirrord hamirror
hamirrord_SOURCES = agent/hamirrord.c
hamirrord_LDADD = $(agent_libraries)
hamirror_SOURCES = \
	agent/cli.h \
	agent/cli_all.c \
	agent/cli_all.h \
	agent/cli_check.c \
	agent/cli_complete.c \
	agent/cli_complete.h \
	agent/cli_config.c \
	agent/cli_config.h \
	agent/cli_daemon.c \
	agent/cli_daemon.h \
	agent/cli_line.c \
	agent/cli_line.h \
	agent/cli_local.c \
	agent/cli_feed.c \
	agent/cli_feed.h \
	agent/cli_host.c \
	agent/cli_json.c \
	agent/cli_json.h \
	agent/cli_names.c \
	agent/cli_names.h \
	agent/cli_progress.c \
	agent/cli_progress.h \
	agent/cli_perf.c \
	agent/cli_show.c \
	agent/cli_show.h \
	agent/cli_state.c \
	agent/cli_state.h \
	agent/cli_status.c \
	agent/cli_stop.c \
	agent/cli_switch.c \
	agent/cli_table.c \
	agent/cli_table.h \
	agent/cli_top.c \
	agent/cli_top.h \
	agent/cli_top_draw.c \
	agent/cli_top_figures.c \
	agent/cli_top_notice.c \
	agent/cli_watch.c \
	agent/cli_watch.h \
	agent/cli_wizard.c \
	agent/cli_wizard.h \
	agent/cli_wizard_file.c \
	agent/hamirror.c
hamirror_CFLAGS = $(AM_CFLAGS) $(NCURSES_CFLAGS)
hamirror_LDADD = $(agent_libraries) $(NCURSES_LIBS) -lm

noinst_LTLIBRARIES += libwatch.la
libwatch_la_SOURCES = \
	agent/cli_feed.c \
	agent/cli_feed.h \
	agent/cli_line.c \
	agent/cli_line.h \
	agent/cli_names.c \
	agent/cli_names.h \
	agent/cli_state.c \
	agent/cli_state.h \
	agent/watch_action.c \
	agent/watch_action.h \
	agent/watch_ask.c \
	agent/watch_ask.h \
	agent/watch_config.c \
	agent/watch_config.h \
	agent/watch_file.c \
	agent/watch_file.h \
	agent/watch_http.c \
	agent/watch_http.h \
	agent/watch_page.c \
	agent/watch_page.h \
	agent/watch_page_state.c \
	agent/watch_page_state.h \
	agent/watch_page_text.h \
	agent/watch_perf.c \
	agent/watch_perf.h \
	agent/watch_scrape.c \
	agent/watch_scrape.h \
	agent/watch_throttle.c \
	agent/watch_throttle.h

# The watcher is linked with them, and so is the test of its pages.
watch_libraries = libwatch.la $(agent_libraries) $(MICROHTTPD_LIBS) -lm

sbin_PROGRAMS += hamirror-watch
hamirror_watch_SOURCES = agent/hamirror_watch.c
hamirror_watch_LDADD = $(watch_libraries)

# The page is a part of the program, as strings of C: it is never of another version, and there
# is nothing to find, to mount or to replace on a disk.
nodist_libwatch_la_SOURCES = agent/watch_page_text.c
page_files = agent/watch_page.html agent/watch_page.css agent/watch_page.js \
	agent/watch_page_charts.js agent/watch_page_config.js
EXTRA_DIST += $(page_files)
CLEANFILES += agent/watch_page_text.c
agent/watch_page_text.c: $(page_files)
	$(AM_V_GEN)$(MKDIR_P) agent && { echo '#include "agent/watch_page_text.h"'; \
	for file in $(page_files); do \
		echo "$$file" | sed -e 's|.*/|const char |' -e 's/\./_/' -e 's/$$/[] =/'; \
		sed -e 's/[\\"]/\\&/g' -e 's/^/"/' -e 's/$$/\\n"/' \
			"$(srcdir)/$$file" || exit; \
		echo ';'; \
	done; } > $@.tmp && mv $@.tmp $@

# Where systemd looks for the units of packages.
systemdunitdir = $(prefix)/lib/systemd/system
nodist_systemdunit_DATA = agent/hamirror@.service agent/hamirror@.socket \
	agent/hamirror-watch@.service
EXTRA_DIST += agent/hamirror@.service.in agent/hamirror@.socket.in \
	agent/hamirror-watch@.service.in
CLEANFILES += $(nodist_systemdunit_DATA)
$(nodist_systemdunit_DATA): %: $(srcdir)/%.in Makefile
	$(AM_V_GEN)$(MKDIR_P) agent && sed -e 's|[@]sbindir@|$(sbindir)|g' \
		$(srcdir)/$@.in > $@.tmp && mv $@.tmp $@

dist_pkgdata_DATA = agent/prometheus-rules.yaml agent/grafana-dashboard.json \
	agent/throttles.yaml

# The shells ask the command itself what may follow.
bashcompletiondir = $(datadir)/bash-completion/completions
dist_bashcompletion_DATA = agent/completion/hamirror
zshcompletiondir = $(datadir)/zsh/site-functions
dist_zshcompletion_DATA = agent/completion/_hamirror
