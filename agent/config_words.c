/* config_words.c - the words of the file for each value of an enum (config.h). */
#include "agent/config.h"

const char *const config_mode_words[] = {
	[CONFIG_SYNC] = "sync",
	[CONFIG_NEAR_SYNC] = "near-sync",
	[CONFIG_ASYNC] = "async",
	NULL,
};
const char *const config_order_words[] = {
	[CONFIG_ORDER_STRICT] = "strict",
	[CONFIG_ORDER_FLUSH] = "flush",
	[CONFIG_ORDER_LOG] = "log",
	NULL,
};
const char *const config_attach_words[] = {
	[CONFIG_ATTACH_AUTO] = "auto", [CONFIG_ATTACH_NONE] = "none",
	[CONFIG_ATTACH_UBLK] = "ublk", [CONFIG_ATTACH_NBD] = "nbd",
	[CONFIG_ATTACH_FUSE] = "fuse", NULL,
};
const char *const config_unprotected_words[] = {
	[CONFIG_UNPROTECTED_REFUSED] = "refused",
	[CONFIG_UNPROTECTED_ALLOWED] = "allowed",
	NULL,
};
const char *const config_no_quorum_words[] = {
	[CONFIG_NO_QUORUM_FREEZE] = "freeze",
	[CONFIG_NO_QUORUM_FAIL] = "fail",
	NULL,
};
const char *const config_confirm_words[] = {
	[CONFIG_CONFIRM_LOGGED] = "logged",
	[CONFIG_CONFIRM_HOME] = "home",
	NULL,
};
const char *const config_copy_loss_words[] = {
	[CONFIG_COPY_LOSS_CONTINUE] = "continue",
	[CONFIG_COPY_LOSS_BLOCK] = "block",
	NULL,
};
