/* What is counted of each flow, and which of its packets mean something. */

/* below returns 1 if a < b, else 0, without a branch (Hacker's Delight, 2-12). */
INLINE u64 below(u64 a, u64 b) { return ((~a & b) | ((~a | b) & (a - b))) >> 63; }

/* key writes the key of p's flow, the same for both directions, and which way p
 * goes. */
INLINE void key(struct packet *p)
{
	struct key *k = &p->key;
	struct end *s = &p->src, *d = &p->dst;
	u64 back = below(d->hi, s->hi) |
		   (zero(d->hi ^ s->hi) & (below(d->lo, s->lo) | (zero(d->lo ^ s->lo) & below(d->tag, s->tag))));
	u64 hi = (s->hi ^ d->hi) & -back, lo = (s->lo ^ d->lo) & -back, tag = (s->tag ^ d->tag) & -back;
	k->a.hi = s->hi ^ hi;
	k->a.lo = s->lo ^ lo;
	k->a.tag = s->tag ^ tag;
	k->b.hi = d->hi ^ hi;
	k->b.lo = d->lo ^ lo;
	k->b.tag = d->tag ^ tag;
	k->proto = p->proto;
	p->way = back;
}

/* blend is what want.go computes too. */
INLINE u64 blend(struct end *e)
{
	u64 h = (e->hi ^ live.config.seed) * 0x9e3779b97f4a7c15ULL ^ e->lo;
	h = (h ^ h >> 29) * 0xd6e8feb86659fd93ULL ^ (e->tag & 0xffff);
	return (h ^ h >> 32) * 0x9e3779b97f4a7c15ULL;
}

/* wanted_at returns where in live.want a flow is. */
INLINE u32 wanted_at(struct key *k)
{
	u64 h = blend(&k->a) + blend(&k->b) + k->proto;
	h = (h ^ h >> 32) * 0xd6e8feb86659fd93ULL;
	return h >> 47; /* log2 of WANTS bits */
}

/* find returns p's flow. One that nobody has answered yet is kept apart, so that
 * a scan pushes out its own failures and nothing else. */
INLINE struct flow *find(struct packet *p, u64 now)
{
	struct key *k = &p->key;
	struct flow *f = lookup(&flows, k);
	if (f)
		return f;
	f = lookup(&pending, k);
	if (!f) {
		p->fresh.begin = now;
		p->fresh.want = wanted_at(k);
		p->fresh.home_time = live.home_time - 1;
		p->fresh.bits = OPENER * (p->way & 1);
		update(&pending, k, &p->fresh, NOEXIST); /* another processor may be quicker */
		count(p, OPENED);
		return lookup(&pending, k);
	}
	if ((f->bits / OPENER & 1) == (p->way & 1) || p->flags & RST)
		return f;
	update(&flows, k, f, NOEXIST);
	forget(&pending, k);
	count(p, ANSWERED);
	return lookup(&flows, k);
}

/* outside tells which ends of a packet are not of the home. The flow, if there is
 * one, remembers. */
INLINE void outside(struct flow *f, struct packet *p)
{
	u32 generation = live.home_time;
	u64 way = p->way & 1;
	if (f && f->home_time == generation) {
		p->from = f->bits >> way & OUTSIDE;
		p->to = f->bits >> (way ^ 1) & OUTSIDE;
		return;
	}
	p->from = home(&p->src) ^ 1;
	p->to = home(&p->dst) ^ 1;
	if (f) {
		f->bits = (f->bits & ~(OUTSIDE * 3)) | p->from << way | p->to << (way ^ 1);
		f->home_time = generation;
	}
}

INLINE int fact_port(u16 port)
{
	switch (port) {
	case 53: case 67: case 68: case 546: case 547: case 1900: case 5353: case 5355:
		return 1;
	}
	return 0;
}

/* fact reports whether p is of a sort that always means something. */
INLINE u32 fact(struct packet *p)
{
	if (p->arp)
		return FACT;
	if (p->later)
		return COUNTED;
	if (p->proto == PROTO_UDP && (fact_port(p->src.tag) || fact_port(p->dst.tag)))
		return FACT;
	if (p->proto == PROTO_ICMP && (p->type == 3 || p->type == 11 || p->type == 12))
		return ERROR;
	if (p->proto == PROTO_ICMP6) {
		if (p->type >= 1 && p->type <= 4)
			return ERROR;
		if (p->type >= 133 && p->type <= 137)
			return FACT;
	}
	return COUNTED;
}

/* begin lets a flow's beginning be shown again. */
INLINE void begin(struct half *h)
{
	h->payloads = 0;
	h->burst = 0;
}

/* worth says why a packet of a flow should be handed over, if it should. */
INLINE u32 worth(struct flow *f, struct packet *p, u64 now)
{
	reload();
	u64 way = p->way & 1;
	struct half *h = &f->half[way], *other = &f->half[way ^ 1];
	int tcp = p->proto == PROTO_TCP;
	u64 quiet = now - h->handed;
	if (quiet > live.config.forget_after)
		begin(h);
	if (now - h->window >= SECOND) {
		h->window = now;
		h->burst = 0;
	}
	if (tcp && (p->flags & (SYN | ACK)) == SYN) {
		if (p->seq == (u32)p->dst.lo && p->dst.hi == 0)
			return URGENT; /* the mark of Mirai's scan */
		if (f->bits >> way & SEEN)
			begin(other), h->payloads = 0;
	}
	if (!(f->bits >> way & SEEN))
		return FIRST;
	if (h->burst >= live.config.burst) {
		count(p, LIMITED);
		return COUNTED;
	}
	if (tcp && p->flags & (SYN | FIN | RST))
		return CONTROL;
	if (p->payload) {
		if (h->payloads < live.config.payloads)
			return PAYLOAD;
		if (live.want[f->want & (WANTS - 1)] || (tcp && ((u16)p->src.tag == 53 || (u16)p->dst.tag == 53)))
			return WANTED;
		if (p->payload <= PAYLOADS && quiet >= live.config.sample / 8)
			return SMALL;
	}
	if (quiet >= live.config.sample)
		return SAMPLE;
	return COUNTED;
}

/* settle accounts a packet of a flow: what was handed over is counted by who gets
 * it, from the frame, which stands for one packet. */
INLINE void settle(struct flow *f, struct packet *p, int handed, u64 now)
{
	reload();
	u64 way = p->way & 1;
	struct half *h = &f->half[way];
	u32 packets = p->packets, bytes = p->bytes + p->extra;
	if (handed) {
		h->handed = now;
		h->burst++;
		if (p->payload)
			h->payloads++;
		if (!(f->bits >> way & SEEN))
			f->bits |= SEEN << way;
		packets -= 1;
		bytes = p->extra;
		if (!packets)
			return;
	}
	u32 epoch = live.epoch;
	struct slot *t = &h->slots[epoch & 1];
	if (t->epoch != (u16)epoch) {
		t->bytes = 0;
		t->packets = 0;
		t->flags = 0;
		t->epoch = epoch;
	}
	add(&t->packets, packets);
	add(&t->bytes, bytes);
	t->flags |= p->flags;
	t->last = now;
}
