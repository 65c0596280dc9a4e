/* Handing a frame over. */

/* LARGEST is the largest record. Segments that offload has joined are longer than a
 * frame on a wire, and what is said in the first of them is often too long for one:
 * SSH's and TLS's lists of algorithms. Of more only the beginning is kept. */
#define LARGEST 4096

/* BETWEEN returns 0 unless n is within bounds. The compiler would make one comparison
 * of the two, of a number that is not the one that is passed on, and 6.1's verifier
 * does not know then what is; nor does it learn from a comparison with 0. */
#define BETWEEN(n, least, most)          \
	do {                             \
		opaque(n);               \
		if ((n) > (most))        \
			return 0;        \
		opaque(n);               \
		if ((n) < (least))       \
			return 0;        \
	} while (0)

/* fill copies a frame of n bytes, a tag of the metadata included, into a record. */
INLINE int fill(struct __sk_buff *skb, struct record *r, u8 *to, u64 n, u64 most, u32 why)
{
	r->time = monotonic() + live.shift;
	r->len = skb->len;
	r->why = why;
	r->pad = 0;
	opaque(n);
	if (skb->vlan_present) {
		u16 tag[2] = {skb->vlan_proto, ntoh16((u16)skb->vlan_tci)}; /* the first is as on the wire */
		if (n > most - TAG_LEN)
			n = most - TAG_LEN;
		r->have = n + TAG_LEN;
		r->len += TAG_LEN;
		if (load(skb, 0, to, 12))
			return 0;
		__builtin_memcpy(to + 12, tag, TAG_LEN);
		n -= 12;
		BETWEEN(n, 2, most - 12 - TAG_LEN);
		return !load(skb, 12, to + 12 + TAG_LEN, n);
	}
	r->have = n;
	BETWEEN(n, 14, most);
	return !load(skb, 0, to, n);
}

/* HAND makes a record of one size class: a ring buffer without dynamic pointers
 * (5.19) reserves only what is known in advance. */
#define HAND(size)                                                            \
	do {                                                                  \
		struct record *r = reserve(&ring, size, 0);                   \
		if (!r) {                                                     \
			count(p, FULL);                                       \
			return 0;                                             \
		}                                                             \
		if (!fill(skb, r, (u8 *)(r + 1), n, (size) - RECORD, why)) { \
			discard(r, NO_WAKEUP);                                \
			count(p, ODD);                                        \
			return 0;                                             \
		}                                                             \
		submit(r, NO_WAKEUP);                                         \
	} while (0)

/* hand hands a frame over and reports whether there was room. Of one that is only
 * a sign of life the headers are enough. */
INLINE int hand(struct __sk_buff *skb, struct packet *p, u32 why)
{
	u64 n = skb->len;
	if (why == SAMPLE && n > p->head + PAYLOADS)
		n = p->head + PAYLOADS;
	if (n > LARGEST - RECORD - TAG_LEN)
		n = LARGEST - RECORD - TAG_LEN;
	if (n <= 128 - RECORD - TAG_LEN)
		HAND(128);
	else if (n <= 256 - RECORD - TAG_LEN)
		HAND(256);
	else if (n <= 512 - RECORD - TAG_LEN)
		HAND(512);
	else if (n <= 1536 - RECORD - TAG_LEN)
		HAND(1536);
	else
		HAND(LARGEST);
	count(p, HANDED);
	return 1;
}
