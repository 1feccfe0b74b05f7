/* engine/confirm_send.h - the copy confirms to production. */
#ifndef MIRROR_ENGINE_CONFIRM_SEND_H
#define MIRROR_ENGINE_CONFIRM_SEND_H

struct engine_link;
struct mirror_engine;

/* Send our marks over the stream `l` if they are news to production, or as a heartbeat. */
void mirror_confirm_send(struct mirror_engine *m, struct engine_link *l);

/* Production waits for homes (M9): send how far all is home, if that is news. */
void mirror_confirm_home(struct mirror_engine *m, struct engine_link *l);

#endif
