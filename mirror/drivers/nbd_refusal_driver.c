/* nbd_refusal_driver.c - reports of refused clients for the operator: see nbd_refusal.h. */
#include <stdio.h>

#include "mirror/drivers/nbd_private_driver.h"
#include "mirror/status.h"

static void tell_due(struct nbd_driver *d)
{
	char text[FACT_TEXT_MAX];
	enum mirror_nbd_refusal kind;

	while ((kind = mirror_nbd_refusal_tell(&d->refusals, io_driver_now_ns(d->io),
					       text)) != MIRROR_NBD_REFUSED_NOT)
		io_driver_report(d->io, "clients", mirror_nbd_refusal_rule(kind), "%s",
				 text);
	io_driver_timer_set(d->io, &d->tell, mirror_nbd_refusal_wake_ns(&d->refusals));
}

static void tell_expired(struct io_timer *t)
{
	tell_due(io_driver_container(t, struct nbd_driver, tell));
}

void nbd_refusal_init(struct nbd_driver *d)
{
	d->tell.expired = tell_expired;
}

void nbd_refusal_note(struct nbd_driver *d, enum mirror_nbd_refusal kind, pid_t pid,
		      const char *text)
{
	char whole[MIRROR_NBD_REFUSED_TEXT_MAX + 32];

	if (pid > 0)
		snprintf(whole, sizeof whole, "%s (process %d)", text, (int)pid);
	else
		snprintf(whole, sizeof whole, "%s", text);
	mirror_nbd_refusal_note(&d->refusals, kind, whole, io_driver_now_ns(d->io));
	tell_due(d);
}

void nbd_refusal_review(struct nbd_connection *k)
{
	struct mirror_nbd_session *s = &k->client->session;
	const enum mirror_nbd_refusal kind = s->refused;

	if (kind == MIRROR_NBD_REFUSED_NOT)
		return;
	s->refused = MIRROR_NBD_REFUSED_NOT;
	nbd_refusal_note(k->driver, kind, k->pid, s->refused_text);
}

void nbd_refusal_make_room(struct nbd_driver *d)
{
	struct nbd_connection *oldest = NULL;

	if (d->server.refused_count < MIRROR_NBD_REFUSED_MAX)
		return;
	/* The newest is the list's first. */
	for (struct nbd_connection *k = d->connections; k != NULL; k = k->next)
		if (k->client->refused && k->state == NBD_CONNECTION_OPEN)
			oldest = k;
	if (oldest != NULL)
		nbd_connection_close(oldest);
}

void nbd_refusal_status(struct nbd_driver *d, struct mirror_status *status)
{
	status->clients_refused = mirror_nbd_refusal_count(&d->refusals);
	mirror_nbd_refusal_why(&d->refusals,
			       mirror_nbd_server_is_full(&d->server, MIRROR_NBD_LOCAL),
			       io_driver_now_ns(d->io), status->clients_text);
}
