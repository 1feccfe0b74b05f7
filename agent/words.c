/* words.c - see words.h. */
#include "agent/words.h"

#include <errno.h>
#include <stdio.h>

const char *agent_data_text(enum data_state data)
{
	switch (data) {
	case DATA_UNKNOWN:
		return "Unknown";
	case DATA_DISKLESS:
		return "Diskless";
	case DATA_INCONSISTENT:
		return "Inconsistent";
	case DATA_OUTDATED:
		return "Outdated";
	case DATA_CONSISTENT:
		return "Consistent";
	case DATA_UP_TO_DATE:
		return "UpToDate";
	}
	return "Unknown";
}

const char *agent_link_text(enum link_state link)
{
	switch (link) {
	case LINK_DOWN:
		return "down";
	case LINK_CONNECTING:
		return "connecting";
	case LINK_CATCHING_UP:
		return "catching-up";
	case LINK_REFRESHING:
		return "refreshing";
	case LINK_CONNECTED:
		return "connected";
	}
	return "down";
}

const char *agent_role_text(enum cluster_site_role role)
{
	switch (role) {
	case CLUSTER_SITE_UNKNOWN:
		return "unknown";
	case CLUSTER_SITE_PRODUCTION:
		return "production";
	case CLUSTER_SITE_COPY:
		return "copy";
	}
	return "unknown";
}

const char *agent_mode_text(enum config_mode mode)
{
	switch (mode) {
	case CONFIG_SYNC:
		return "sync";
	case CONFIG_NEAR_SYNC:
		return "near-sync";
	case CONFIG_ASYNC:
		return "async";
	}
	return "sync";
}

const char *agent_reason_text(uint32_t reason)
{
	static const char *const text[] = {
		[GENERATION_CREATED] = "created",
		[GENERATION_RESTARTED] = "restarted",
		[GENERATION_CURRENT] = "current",
		[GENERATION_CLEAN] = "clean",
		[GENERATION_NEAR_SYNC] = "near-sync",
		[GENERATION_FORCED] = "forced",
		[GENERATION_ASYNC] = "async",
	};

	return reason >= GENERATION_CREATED && reason <= GENERATION_ASYNC ? text[reason] :
									    "";
}

void agent_uuid_format(const struct uuid *uuid, char *text)
{
	size_t at = 0;

	for (size_t i = 0; i < sizeof uuid->byte; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			text[at++] = '-';
		at += (size_t)snprintf(text + at, 3, "%02x", uuid->byte[i]);
	}
}

static int nibble(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

int agent_uuid_parse(const char *text, struct uuid *uuid)
{
	size_t at = 0;

	for (size_t i = 0; i < sizeof uuid->byte; i++) {
		int high, low;

		if ((i == 4 || i == 6 || i == 8 || i == 10) && text[at++] != '-')
			return -EINVAL;
		high = nibble(text[at]);
		low = high < 0 ? -1 : nibble(text[at + 1]);
		if (low < 0)
			return -EINVAL;
		uuid->byte[i] = (uint8_t)(high << 4 | low);
		at += 2;
	}
	return text[at] == '\0' ? 0 : -EINVAL;
}

json_t *agent_text_json(const char *text)
{
	json_t *s = json_string(text);
	char plain[1024];
	size_t i;

	if (s != NULL)
		return s;
	for (i = 0; text[i] != '\0' && i + 1 < sizeof plain; i++)
		plain[i] = (unsigned char)text[i] < 0x80 ? text[i] : '?';
	plain[i] = '\0';
	return json_string(plain);
}
