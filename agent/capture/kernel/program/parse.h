/* A frame's headers, as far as the program looks. */

#define ETHER_IPV4 0x0800
#define ETHER_ARP 0x0806
#define ETHER_VLAN 0x8100
#define ETHER_IPV6 0x86dd
#define ETHER_QINQ 0x88a8

#define ETHER_LEN 14
#define TAG_LEN 4

#define PROTO_ICMP 1
#define PROTO_TCP 6
#define PROTO_UDP 17
#define PROTO_GRE 47
#define PROTO_ICMP6 58

#define FIN 1
#define SYN 2
#define RST 4
#define ACK 16

/* ether reads the MACs and returns the EtherType behind all tags in the frame,
 * 0 if there is none. */
INLINE u16 ether(struct __sk_buff *skb, struct packet *p)
{
	u8 *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	if (data + ETHER_LEN > end)
		return 0;
	u16 *m = (u16 *)data;
	p->dst.tag = (u64)ntoh16(m[0]) << 48 | (u64)ntoh16(m[1]) << 32 | (u64)ntoh16(m[2]) << 16;
	p->src.tag = (u64)ntoh16(m[3]) << 48 | (u64)ntoh16(m[4]) << 32 | (u64)ntoh16(m[5]) << 16;
	u16 type = ntoh16(m[6]);
	p->head = ETHER_LEN;
	for (int i = 0; i < 2 && (type == ETHER_VLAN || type == ETHER_QINQ); i++) {
		u16 tag[2];
		if (load(skb, p->head, tag, TAG_LEN))
			return 0;
		type = ntoh16(tag[1]);
		p->head += TAG_LEN;
	}
	return type;
}

/* FETCH reads a header at p->head into h. At the places where most headers are it
 * is read where it lies, if that is in the frame's first part; the copy by the
 * kernel's helper, which finds all others, costs more than the rest of parsing. */
#define NEAR(at, h)                                                              \
	(data + (at) + sizeof(h) <= end ? ((h) = *(__typeof__(h) *)(data + (at)), 0) \
					: load(skb, at, &(h), sizeof(h)))
#define FETCH(h)                                                                 \
	(p->head == ETHER_LEN ? NEAR(ETHER_LEN, h)                               \
			      : load(skb, p->head, &(h), sizeof(h)))

struct ipv4 {
	u8 version, tos;
	u16 len, id, frag;
	u8 ttl, proto;
	u16 sum;
	u32 src, dst;
};

INLINE int ipv4(struct __sk_buff *skb, struct packet *p)
{
	struct ipv4 h;
	u8 *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	if (FETCH(h))
		return -1;
	u32 len = (h.version & 15) * 4;
	if (h.version >> 4 != 4 || len < sizeof h)
		return -1;
	p->bytes = ntoh16(h.len);
	if (p->bytes == 0)
		p->bytes = skb->len - p->head;
	if (p->bytes < len || p->bytes > skb->len - p->head)
		return -1;
	p->later = (ntoh16(h.frag) & 0x1fff) != 0;
	p->proto = h.proto;
	p->id = h.id;
	p->src.hi = p->dst.hi = 0;
	p->src.lo = 0xffff00000000ULL | ntoh32(h.src);
	p->dst.lo = 0xffff00000000ULL | ntoh32(h.dst);
	p->head += len;
	p->payload = p->bytes - len;
	return 0;
}

struct ipv6 {
	u32 version;
	u16 len;
	u8 next, hops;
	u64 src[2], dst[2];
};

/* extension reports whether an IPv6 header of that number comes before the
 * upper layer's: hop by hop, routing, fragment, authentication, destination. */
INLINE int extension(u32 next)
{
	return next == 0 || next == 43 || next == 44 || next == 51 || next == 60;
}

INLINE int ipv6(struct __sk_buff *skb, struct packet *p)
{
	struct ipv6 h;
	u8 *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	if (FETCH(h))
		return -1;
	if (ntoh32(h.version) >> 28 != 6)
		return -1;
	u32 room = skb->len - p->head;
	p->bytes = sizeof h + ntoh16(h.len);
	if (h.len == 0 && h.next != 59)
		p->bytes = room;
	if (p->bytes > room)
		return -1;
	p->src.hi = ntoh64(h.src[0]);
	p->src.lo = ntoh64(h.src[1]);
	p->dst.hi = ntoh64(h.dst[0]);
	p->dst.lo = ntoh64(h.dst[1]);
	u32 next = h.next, len = sizeof h;
	for (int i = 0; i < 8 && extension(next); i++) {
		u8 x[8];
		if (load(skb, p->head + len, x, sizeof x))
			return -1;
		if (next == 44) {
			p->later = x[2] || x[3] & 0xf8;
			len += 8;
		} else if (next == 51) {
			len += (x[1] + 2) * 4;
		} else {
			len += (x[1] + 1) * 8;
		}
		len &= 0xfff;
		next = x[0];
		if (p->later)
			break;
	}
	if (len > p->bytes)
		return -1;
	p->proto = next;
	p->head += len;
	p->payload = p->bytes - len;
	return 0;
}

union transport {
	u8 b[16];
	u16 w[8];
	u32 l[4];
};

/* top reads the first n bytes of a transport header, 8 or 16. */
INLINE int top(struct __sk_buff *skb, struct packet *p, union transport *h, const u32 n)
{
	const u32 v4 = ETHER_LEN + sizeof(struct ipv4), v6 = ETHER_LEN + sizeof(struct ipv6);
	u8 *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	if (p->head == v4 && data + v4 + sizeof *h <= end) {
		*h = *(union transport *)(data + v4);
		apart(4);
		return 0;
	}
	if (p->head == v6 && data + v6 + sizeof *h <= end) {
		*h = *(union transport *)(data + v6);
		apart(6);
		return 0;
	}
	return load(skb, p->head, h, n);
}

/* transport reads the header that p->proto announces, if it makes flows. */
INLINE int transport(struct __sk_buff *skb, struct packet *p)
{
	union transport h;
	u32 len;
	if (p->later)
		return 0;
	if (p->proto == PROTO_TCP) {
		if (top(skb, p, &h, 16))
			return -1;
		len = (h.b[12] >> 4) * 4;
		if (len < 20)
			return -1;
		p->flags = h.b[13];
		p->seq = ntoh32(h.l[1]);
		p->src.tag |= ntoh16(h.w[0]);
		p->dst.tag |= ntoh16(h.w[1]);
		p->ports = 1;
	} else if (p->proto == PROTO_UDP) {
		if (top(skb, p, &h, 8))
			return -1;
		len = 8;
		p->id ^= h.w[3];
		p->src.tag |= ntoh16(h.w[0]);
		p->dst.tag |= ntoh16(h.w[1]);
		p->ports = 1;
	} else if (p->proto == PROTO_ICMP || p->proto == PROTO_ICMP6) {
		if (top(skb, p, &h, 8))
			return -1;
		len = 8;
		p->type = h.b[0];
		p->id ^= h.w[1];
		if (p->proto == PROTO_ICMP ? p->type == 0 || p->type == 8 : p->type == 128 || p->type == 129) {
			p->src.tag |= ntoh16(h.w[2]);
			p->dst.tag |= ntoh16(h.w[2]);
			p->ports = 1;
		}
	} else {
		p->ports = 1;
		return 0;
	}
	if (len > p->payload)
		return -1;
	p->head += len;
	p->payload -= len;
	return 0;
}

/* parse reads what the program needs to know. It returns less than 0 for what
 * is neither ARP nor IP, or lies about its lengths. */
INLINE int parse(struct __sk_buff *skb, struct packet *p)
{
	p->arp = p->ip = p->later = p->ports = p->flags = p->type = 0;
	p->proto = p->bytes = p->payload = p->id = 0;
	u16 type = ether(skb, p);
	if (type == ETHER_ARP) {
		u32 target;
		p->arp = 1;
		if (load(skb, p->head + 24, &target, sizeof target))
			return -1;
		p->id = target;
		return 0;
	}
	p->ip = 1;
	if (type == ETHER_IPV4) {
		if (ipv4(skb, p))
			return -1;
	} else if (type == ETHER_IPV6) {
		if (ipv6(skb, p))
			return -1;
	} else {
		return -1;
	}
	return transport(skb, p);
}
