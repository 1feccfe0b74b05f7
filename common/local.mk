# Shared by both cores. Pure: no I/O, no clock.
noinst_LTLIBRARIES += libcommon.la
libcommon_la_SOURCES = \
	common/bytes.h \
	common/config.h \
	common/config_difference.c \
	common/config_difference.h \
	common/crc.c \
	common/crc.h \
	common/fact.h \
	common/fifo.h \
	common/identity.h \
	common/order.h \
	common/promise.h \
	common/queue.c \
	common/queue.h
libcommon_la_LIBADD = $(ISAL_LIBS)
# For the drivers of all folders, and no core's.
EXTRA_DIST += common/clock_driver.h common/process_driver.h common/thread_driver.h
