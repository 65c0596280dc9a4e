/* The eyes: at each port of the home's side, in both directions, they count every
 * packet of every flow and hand over the few frames that mean something.
 *
 * It must load on Linux 5.15: no loops without a bound, no kfuncs, no need for
 * the kernel's own types. What it decides, user space reads in ../kernel.go. */

#include "bpf.h"
#include "state.h"
#include "parse.h"
#include "device.h"
#include "flow.h"
#include "hand.h"

/* group reports whether a frame is for several. */
INLINE int group(u64 tag) { return tag >> 56 & 1; }

/* copied reports whether a group frame of the router was seen at another port a
 * moment ago: a bridge sends one to each. */
INLINE int copied(struct __sk_buff *skb, struct packet *p, u64 now)
{
	u64 h = (p->src.lo ^ p->dst.lo * 0x9e3779b97f4a7c15ULL ^ p->src.tag ^ p->dst.tag << 7) * 0xd6e8feb86659fd93ULL;
	h ^= (h >> 32) + p->id + ((u64)skb->len << 32);
	h *= 0xd6e8feb86659fd93ULL;
	struct copy *c = &live.copies[h >> 60 & (COPIES - 1)];
	if (c->hash == h && now - c->at <= 10000000)
		return 1;
	c->hash = h;
	c->at = now;
	return 0;
}

/* flowing looks at a packet of a flow. What has none is looked at elsewhere, and not
 * here with a null pointer: until Linux 6.16 and without CAP_PERFMON, the verifier
 * tries where the pointer would lead if the processor guessed that it is one. */
INLINE int flowing(struct __sk_buff *skb, struct packet *p, struct device *d, const int ingress, u64 now)
{
	key(p);
	struct flow *f = find(p, now);
	if (!f)
		return NEXT;
	outside(f, p);
	tally(d, p, ingress, now);
	u32 why = worth(f, p, now);
	int handed = why && allowed(d, p, why, !ingress, now) && hand(skb, p, why);
	settle(f, p, handed, now);
	return NEXT;
}

INLINE int watch(struct __sk_buff *skb, const int ingress)
{
	u64 now = monotonic_coarse() + live.shift;
	if (!ingress) {
		u32 from = skb->ingress_ifindex;
		if (from && lookup(&ports, &from))
			return NEXT; /* seen when it came in */
	}
	u32 which = ingress;
	struct packet *p = lookup(&desk, &which);
	if (!p)
		return NEXT;
	count(p, FRAMES);
	if (parse(skb, p) < 0 || group(p->src.tag)) {
		count(p, ODD);
		return NEXT;
	}
	if (!ingress && live.ports > 1 && group(p->dst.tag) && copied(skb, p, now)) {
		count(p, COPIED);
		return NEXT;
	}
	struct device *d = device(ingress ? p->src.tag : p->dst.tag, now);
	if (!d)
		return NEXT;
	measure(skb, p);
	u32 why = fact(p);
	if (!why && p->ports && !multicast(&p->dst))
		return flowing(skb, p, d, ingress, now);
	if (p->ip) {
		outside(0, p);
		tally(d, p, ingress, now);
	}
	if (why && allowed(d, p, why, !ingress, now))
		hand(skb, p, why);
	return NEXT;
}

SEC("tc/ingress") int incoming(struct __sk_buff *skb) { return watch(skb, 1); }
SEC("tc/egress") int outgoing(struct __sk_buff *skb) { return watch(skb, 0); }

char terms[] SEC("license") = "GPL";
