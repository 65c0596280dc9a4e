/* What is counted of each device, by its MAC. */

/* measure tells how many packets p stands for. */
INLINE void measure(struct __sk_buff *skb, struct packet *p)
{
	u32 n = skb->gso_segs;
	if (n < 1)
		n = 1;
	p->packets = n;
	p->extra = (n - 1) * (p->bytes - p->payload);
}

/* device finds what is counted of a MAC, or begins to. A new one is a visitor until
 * it has been here for a while: a flood of invented MACs pushes out visitors, and
 * no device that lives here. */
INLINE struct device *device(u64 tag, u64 now)
{
	u64 mac = tag >> 16;
	struct device *d = lookup(&devices, &mac);
	if (d)
		return d;
	d = lookup(&visitors, &mac);
	if (d) {
		if (now - d->born < live.config.stranger)
			return d;
		update(&devices, &mac, d, NOEXIST);
		forget(&visitors, &mac);
		return lookup(&devices, &mac);
	}
	u32 zero = 0;
	void *empty = lookup(&blank, &zero);
	if (!empty)
		return 0;
	update(&visitors, &mac, empty, NOEXIST);
	d = lookup(&visitors, &mac);
	if (d)
		d->born = now;
	return d;
}

/* allowed takes one frame from the cap of a device: the virtual scheduling of the
 * generic cell rate algorithm (ITU-T I.371). What is more urgent may use more of
 * the burst. */
INLINE int allowed(struct device *d, struct packet *p, u32 why, int receiving, u64 now)
{
	if (!live.config.interval)
		return 1;
	u64 limit;
	if (why == URGENT) {
		limit = live.config.limit[0];
		apart(0);
	} else if (why < SMALL) {
		limit = live.config.limit[1];
		apart(1);
	} else {
		limit = live.config.limit[2];
		apart(2);
	}
	u64 ahead = d->ahead[receiving], strangers = live.strangers;
	int stranger = now - d->born < live.config.stranger;
	if (ahead < now)
		ahead = now;
	if (strangers < now)
		strangers = now;
	ahead += live.config.interval;
	strangers += live.config.interval;
	if (ahead - now > limit || (stranger && strangers - now > limit)) {
		add(&d->capped, 1);
		count(p, CAPPED);
		return 0;
	}
	d->ahead[receiving] = ahead;
	if (stranger)
		live.strangers = strangers;
	return 1;
}

/* multicast reports whether nobody in particular is meant: flows end there. */
INLINE int multicast(struct end *e)
{
	u32 v4 = e->lo;
	if (e->hi == 0 && e->lo >> 32 == 0xffff)
		return v4 >> 28 == 14 || v4 == 0xffffffff || v4 == 0;
	return e->hi >> 56 == 0xff || (e->hi | e->lo) == 0;
}

/* zero returns 1 for 0 and 0 for all else, without a branch: the verifier follows
 * each side of a branch, and so sixteen prefixes would be 65,536 programs to it. */
INLINE u64 zero(u64 x) { return ((x | -x) >> 63) ^ 1; }

/* home reports whether an address is of the home, or of no network at all. An
 * entry of live.home that is not in use fits nothing. */
INLINE u64 home(struct end *e)
{
	u64 found = zero(e->hi >> 54 ^ 0xfe80 >> 6) | zero(e->hi | (e->lo >> 16 ^ 0xffffa9fe)); /* link-local */
	found |= zero(e->hi >> 56 ^ 0xff) | zero(e->hi | e->lo) | zero(e->hi | (e->lo >> 28 ^ 0xffff0 + 14)); /* multicast, :: */
	found |= zero(e->hi | (e->lo ^ 0xffffffffffffULL)) | zero(e->hi | (e->lo ^ 0xffff00000000ULL));
#pragma unroll
	for (int i = 0; i < HOMES; i++) {
		struct prefix *x = &live.home[i];
		found |= zero(((e->hi & x->mask_hi) ^ x->hi) | ((e->lo & x->mask_lo) ^ x->lo));
		in_order(found); /* else they are all loaded first, onto the stack */
	}
	return found;
}

/* put counts without a lock on the bus: when two processors see packets of one
 * device and direction at the same moment, one may get lost. What is counted of a
 * flow is exact. */
INLINE void put(struct tally *t, u32 packets, u32 bytes)
{
	t->packets += packets;
	t->bytes += bytes;
}

/* mark sets one bit of 256 for a value: linear counting (Whang, Vander-Zanden,
 * Taylor, 1990). */
INLINE void mark(u64 *bits, u64 value)
{
	u64 h = (value ^ live.config.seed) * 0x9e3779b97f4a7c15ULL;
	h ^= h >> 32;
	h *= 0xd6e8feb86659fd93ULL;
	u64 bit = 1ULL << (h >> 58);
	u64 *word = &bits[h >> 56 & 3];
	if (!(*word & bit))
		*word |= bit;
}

/* network returns the number of an address's /24 or /48. */
INLINE u64 network(struct end *e) { return e->hi == 0 ? e->lo >> 8 : e->hi >> 16; }

/* vote counts a packet for the network that it goes to. */
INLINE void vote(struct top *t, struct packet *p, u32 n)
{
	u64 net = network(&p->dst);
	u16 port = p->ports ? p->dst.tag : 0;
	if (t->net == net) {
		t->votes += n;
		t->hits += n;
		if (t->lo != p->dst.lo || t->hi != p->dst.hi)
			t->addrs = 1;
		if (t->port != port)
			t->ports = 1;
	} else if (t->votes > n) {
		t->votes -= n;
	} else {
		t->net = net;
		t->hi = p->dst.hi;
		t->lo = p->dst.lo;
		t->port = port;
		t->votes = t->hits = n;
		t->addrs = t->ports = 0;
		t->back = 0;
	}
}

/* this_interval returns the interval of a device, begun anew if the last is over. */
INLINE struct interval *this_interval(struct device *d, u64 now)
{
	if (now >= d->until) {
		u64 number = now / INTERVAL;
		u32 which = number & 1;
		struct interval *s = &d->intervals[which];
		u64 end = (number + 1) * INTERVAL;
		if (s->end != end) {
			__builtin_memset(s, 0, sizeof *s);
			s->end = end;
		}
		d->now = which;
		d->until = end;
	}
	return &d->intervals[d->now & 1];
}

/* tally counts what goes to the outside of the home or comes from it. */
INLINE void tally(struct device *d, struct packet *p, const int ingress, u64 now)
{
	int from = p->from, to = p->to;
	if (ingress ? !from && !to : !from)
		return;
	if (!ingress && p->proto == PROTO_TCP && p->flags & RST)
		return; /* refuses, and answers nothing */
	struct interval *t = this_interval(d, now);
	reload();
	/* A number out of a table is one number to the verifier, not six. */
	u64 syn = p->flags >> 1 & 1;
	opaque(syn); /* else the sum becomes an OR, of which 6.1's verifier knows no bound */
	u32 kind = live.sort[(p->proto & 255) * 2 + syn] & 7;
	u32 bytes = p->bytes + p->extra;
	if (!ingress) {
		put(&t->in[kind], p->packets, bytes);
		if (t->top[kind].net == network(&p->src))
			t->top[kind].back += p->packets;
		return;
	}
	if (from) {
		put(&t->spoofed, p->packets, bytes);
		return;
	}
	if (!to)
		return;
	put(&t->out[kind], p->packets, bytes);
	mark(t->dests, p->dst.hi ^ p->dst.lo);
	if (p->ports)
		mark(t->ports, (u16)p->dst.tag);
	vote(&t->top[kind], p, p->packets);
}
