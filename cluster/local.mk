# libcluster.la: the core, pure. libcluster_drivers.la: *_driver.c only.
noinst_LTLIBRARIES += libcluster.la libcluster_drivers.la
libcluster_la_SOURCES = \
	cluster/action.c \
	cluster/alone.c \
	cluster/alone.h \
	cluster/alone_copies.c \
	cluster/alone_promote.c \
	cluster/alone_status.c \
	cluster/block.c \
	cluster/block.h \
	cluster/cluster.c \
	cluster/cluster.h \
	cluster/cluster_create.c \
	cluster/codec.h \
	cluster/commands.c \
	cluster/copies.c \
	cluster/demote.c \
	cluster/devices_open.c \
	cluster/devices_pass.c \
	cluster/fence.c \
	cluster/first.c \
	cluster/generation.c \
	cluster/commands.h \
	cluster/generation.h \
	cluster/in_effect.c \
	cluster/internal.h \
	cluster/join.c \
	cluster/lease.c \
	cluster/majority.c \
	cluster/message.c \
	cluster/message.h \
	cluster/mirroring.c \
	cluster/move.c \
	cluster/move.h \
	cluster/names.c \
	cluster/news.c \
	cluster/names.h \
	cluster/place.c \
	cluster/plan.c \
	cluster/promote.c \
	cluster/promote_text.c \
	cluster/quorum.c \
	cluster/quorum.h \
	cluster/role.c \
	cluster/round.c \
	cluster/score.c \
	cluster/site_disks.c \
	cluster/status.c \
	cluster/switch.c \
	cluster/switch.h \
	cluster/undo.c \
	cluster/view.c \
	cluster/view.h \
	cluster/voter.c \
	cluster/voter_format.c \
	cluster/voter_format.h

libcluster_drivers_la_SOURCES = \
	cluster/cpg_driver.c \
	cluster/cpg_driver.h \
	cluster/fence_driver.c \
	cluster/fence_driver.h \
	cluster/quorum_driver.c \
	cluster/quorum_driver.h \
	cluster/voter_file_driver.c \
	cluster/voter_file_driver.h
libcluster_drivers_la_LIBADD = $(CPG_LIBS) $(QUORUM_LIBS) $(VOTEQUORUM_LIBS) \
	$(CMAP_LIBS) $(CFG_LIBS) $(COROSYNC_LIBS) $(FENCING_LIBS) $(QB_LIBS)
