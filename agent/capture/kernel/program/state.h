/* What the program keeps, and shares with user space: layout.go has the same
 * layouts. Numbers are in the machine's byte order, addresses and MACs too: they
 * are numbers here. An IPv4 address is its IPv4-mapped IPv6 one. */

#define PAYLOADS 16   /* bytes: what is at most this long may be a sign of life */
#define HOMES 16      /* prefixes of the home */
#define WANTS 131072  /* a power of two */
#define COPIES 16     /* group frames of the router that are remembered, a power of two */
#define SECOND 1000000000ULL
/* What devices send is told of in intervals of this length; Interval in layout.go. */
#define INTERVAL (SECOND / 2)

/* What is set once, before the program is at a port. Times in nanoseconds. */
struct config {
	u64 interval;     /* one frame of a device each; 0: no cap */
	u64 limit[3];     /* how far ahead of the cap a device may be, by urgency */
	u64 sample;       /* one packet of a flow's direction is shown each */
	u64 forget_after; /* of silence, a flow's beginning is shown again */
	u64 stranger;     /* for so long a new device shares its cap with all other new ones */
	u32 payloads;     /* of each direction that are shown from the beginning */
	u32 burst;        /* frames of one flow's direction that may be shown in a second */
	u32 seed;
	u32 pad;
};

struct prefix {
	u64 hi, lo, mask_hi, mask_lo;
};

struct copy {
	u64 hash, at;
};

/* What changes while the program runs. */
struct live {
	struct config config;
	u64 shift;     /* added to the kernel's time */
	u32 epoch;     /* of the sweep: which slot of a flow counts */
	u32 home_time; /* grows when home changes */
	u32 ports;     /* how many the program is at */
	u32 pad32;
	u8 sort[512];  /* by protocol and TCP's SYN */
	struct prefix home[HOMES];
	u64 strangers; /* as device.ahead, of all new ones together */
	u64 pad;
	struct copy copies[COPIES];
	u8 want[WANTS]; /* by hash of flow: how many want it */
};

struct end {
	u64 hi, lo;
	u64 tag; /* MAC << 16 | port */
};

/* a is the end with the smaller number. */
struct key {
	struct end a, b;
	u64 proto;
};

/* What was counted and not handed over, in one epoch. */
struct slot {
	u64 bytes, last;
	u32 packets;
	u16 epoch;
	u8 flags, pad;
};

struct half {
	struct slot slots[2];
	u64 handed;   /* when a packet was handed over last */
	u64 window;   /* when burst began to count */
	u32 burst;
	u32 payloads; /* handed over since the beginning */
};

/* Of flow.bits. */
#define OUTSIDE 1 /* a is not of the home; shifted by one: b */
#define SEEN 4    /* something of a was handed over; shifted by one: b */
#define OPENER 16 /* b spoke first */

struct flow {
	struct half half[2]; /* what a sends, what b sends */
	u64 begin;
	u32 want;
	u32 home_time; /* to which OUTSIDE belongs */
	u32 bits;
	u32 pad;
};

#define SORTS 8 /* of which six are used: cordon.Sorts */

struct tally {
	u64 packets, bytes;
};

/* The network that may have got most packets of a sort: Boyer and Moore. */
struct top {
	u64 net, hi, lo;
	u32 votes, hits;
	u16 port;
	u8 addrs, ports; /* several of them */
	u32 back;        /* packets that came from there meanwhile */
};

struct interval {
	u64 end; /* when it is over */
	struct tally out[SORTS], in[SORTS], spoofed;
	u64 dests[4], ports[4];
	struct top top[SORTS];
};

struct device {
	u64 born;
	u64 until;     /* when the interval of now ends */
	u64 ahead[2];  /* of sending, of receiving: when the cap is used up to */
	u64 capped;
	u32 now;       /* which interval is that of now */
	u32 pad;
	struct interval intervals[2];
};

enum stat { FRAMES, COPIED, ODD, HANDED, FULL, CAPPED, OPENED, ANSWERED, LIMITED, STATS };

/* A frame, as far as the program looks at it. It lies in a map and not on the
 * stack: what is read from there may be anything to the verifier, so that it
 * follows all frames by one way and not each by its own. */
struct packet {
	u64 stats[STATS];    /* of all before, too: by enum stat */
	struct end src, dst; /* the port is there once it is known */
	struct key key;
	struct flow fresh;   /* how its flow begins */
	u32 way;             /* 0 from key.a, 1 from key.b */
	u32 proto;
	u32 bytes;           /* of the IP datagram */
	u32 head;            /* bytes of the frame before the payload */
	u32 payload;         /* bytes */
	u32 seq;
	u32 id;              /* tells copies of a frame from others */
	u32 packets;         /* on the wire: segmentation offload joins some */
	u32 extra;           /* bytes of the headers that each of them but the first has */
	u32 from, to;        /* source, destination are not of the home */
	u32 room;            /* what is left of the frame for the IP datagram */
	u8 arp, ip;
	u8 later;            /* a fragment without a transport header */
	u8 ports;            /* it belongs to a flow */
	u8 flags;            /* TCP */
	u8 type;             /* ICMP */
	u8 pad[2];
};

/* What goes before a frame in the ring. */
struct record {
	u64 time;
	u32 len;  /* of the frame on the wire */
	u16 have; /* of it in the record */
	u8 why;
	u8 pad;
};

#define RECORD 16 /* bytes of struct record */

/* Why a frame is handed over; layout.go has the names. */
enum why { COUNTED, URGENT, FACT, ERROR, FIRST, CONTROL, PAYLOAD, WANTED, SMALL, SAMPLE };

/* Constants would be quicker, and known numbers to the verifier: then whether it
 * takes the program would depend on what an operator configures. */
struct live live;

struct {
	NUMBER(type, MAP_RINGBUF);
	NUMBER(max_entries, 4096);
} ring SEC(".maps");

struct {
	NUMBER(type, MAP_LRU_HASH);
	NUMBER(max_entries, 1);
	TYPE(key, struct key);
	TYPE(value, struct flow);
} flows SEC(".maps"), pending SEC(".maps");

struct {
	NUMBER(type, MAP_LRU_HASH);
	NUMBER(max_entries, 1);
	TYPE(key, u64);
	TYPE(value, struct device);
} devices SEC(".maps"), visitors SEC(".maps");

/* blank is a device that is never written to: too large for the stack. */
struct {
	NUMBER(type, MAP_ARRAY);
	NUMBER(max_entries, 1);
	TYPE(key, u32);
	TYPE(value, struct device);
} blank SEC(".maps");

/* desk has the frame at hand, one for each direction. */
struct {
	NUMBER(type, MAP_PERCPU_ARRAY);
	NUMBER(max_entries, 2);
	TYPE(key, u32);
	TYPE(value, struct packet);
} desk SEC(".maps");

/* ports has the interfaces of the home's side. */
struct {
	NUMBER(type, MAP_HASH);
	NUMBER(max_entries, 1);
	TYPE(key, u32);
	TYPE(value, u32);
} ports SEC(".maps");

/* count adds one to a counter. */
#define count(p, which)               \
	do {                          \
		(p)->stats[which]++;  \
		apart(which);         \
	} while (0)
