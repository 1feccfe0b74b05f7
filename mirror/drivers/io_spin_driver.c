/* io_spin_driver.c - see io_spin_driver.h. */
#include "mirror/drivers/io_spin_driver.h"

#define NS_PER_US 1000ull

#define AUTO_NS (60 * NS_PER_US)     /* about two wake-ups */
#define SHORTEST_NS (10 * NS_PER_US) /* so long at least, where it pays at all */
#define SAMPLE 64u
#define PAYS_PERCENT 70u
#define OFF_NS (10 * 1000 * NS_PER_US)

void io_spin_init(struct io_spin *s, uint32_t limit_us)
{
	*s = (struct io_spin){
		.limit_ns = limit_us == CONFIG_SPIN_AUTO ? AUTO_NS : limit_us * NS_PER_US,
		.always = limit_us != CONFIG_SPIN_AUTO,
	};
}

uint64_t io_spin_begin(const struct io_spin *s, uint64_t now_ns)
{
	uint64_t ns = 2 * s->usual_ns;

	if (s->always)
		return s->limit_ns;
	if (now_ns < s->off_until_ns || s->usual_ns > s->limit_ns)
		return 0;
	if (ns < SHORTEST_NS)
		ns = SHORTEST_NS;
	return ns < s->limit_ns ? ns : s->limit_ns;
}

void io_spin_end(struct io_spin *s, uint64_t now_ns, uint64_t begun_ns,
		 enum io_spin_outcome outcome)
{
	s->usual_ns = s->usual_ns - s->usual_ns / 8 + (now_ns - begun_ns) / 8;
	if (outcome == IO_SPIN_SLEPT)
		return;
	s->tried++;
	s->paid += outcome == IO_SPIN_FOUND;
	if (outcome == IO_SPIN_KEPT_OFF ||
	    (s->tried == SAMPLE && s->paid < SAMPLE * PAYS_PERCENT / 100))
		s->off_until_ns = now_ns + OFF_NS;
	if (s->tried == SAMPLE)
		s->tried = s->paid = 0;
}
