/* Handing a frame over. */

/* LARGEST is the most of a frame that is kept. Segments that offload has joined are
 * longer than a frame on a wire, and what is said in the first of them is often too
 * long for one: SSH's and TLS's lists of algorithms. Of more the beginning is kept. */
#define LARGEST 4096

#define MACS 12 /* bytes of a frame's two addresses */

/* WITHIN makes n a number from 1 to most, a power of two, that it is already. The
 * verifier of Linux 6.1 forgets what comparisons have shown, above all without
 * CAP_PERFMON; this it understands. */
#define WITHIN(n, most)                          \
	({                                       \
		u64 w = (n) - 1;                 \
		opaque(w);                       \
		w &= (most) - 1;                 \
		opaque(w);                       \
		w + 1;                           \
	})

/* fill copies a frame of n bytes into a record that has room for most and a tag. */
INLINE int fill(struct __sk_buff *skb, struct record *r, u8 *to, u64 n, const u64 most, u32 why)
{
	r->time = monotonic() + live.shift;
	r->len = skb->len;
	r->have = n;
	r->why = why;
	r->pad = 0;
	if (!skb->vlan_present)
		return !load(skb, 0, to, WITHIN(n, most));
	u16 tag[2] = {skb->vlan_proto, ntoh16((u16)skb->vlan_tci)}; /* the first is as on the wire */
	r->len += TAG_LEN;
	r->have += TAG_LEN;
	__builtin_memcpy(to + MACS, tag, TAG_LEN);
	return !load(skb, 0, to, MACS) && !load(skb, MACS, to + MACS + TAG_LEN, WITHIN(n - MACS, most));
}

/* HAND makes a record of one size class: a ring buffer without dynamic pointers
 * (5.19) reserves only what is known in advance. */
#define HAND(most)                                                              \
	do {                                                                    \
		struct record *r = reserve(&ring, RECORD + MACS + TAG_LEN + (most), 0); \
		if (!r) {                                                       \
			count(p, FULL);                                         \
			return 0;                                               \
		}                                                               \
		if (!fill(skb, r, (u8 *)(r + 1), n, most, why)) {               \
			discard(r, NO_WAKEUP);                                  \
			count(p, ODD);                                          \
			return 0;                                               \
		}                                                               \
		submit(r, NO_WAKEUP);                                           \
	} while (0)

/* hand hands a frame over and reports whether there was room. Of one that is only
 * a sign of life the headers are enough. */
INLINE int hand(struct __sk_buff *skb, struct packet *p, u32 why)
{
	u64 n = skb->len;
	if (why == SAMPLE && n > p->head + PAYLOADS)
		n = p->head + PAYLOADS;
	if (n > LARGEST)
		n = LARGEST;
	if (n <= 128)
		HAND(128);
	else if (n <= 256)
		HAND(256);
	else if (n <= 512)
		HAND(512);
	else if (n <= 2048)
		HAND(2048);
	else
		HAND(LARGEST);
	count(p, HANDED);
	return 1;
}
