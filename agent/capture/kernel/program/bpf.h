/* What the program needs of the kernel's interface, written down here so that
 * compiling it needs no header of any kernel: numbers and layouts from
 * include/uapi/linux/bpf.h of Linux 5.11, which are promised never to change. */

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

#define SEC(name) __attribute__((section(name), used))
#define INLINE static inline __attribute__((always_inline))

/* Maps are described by types, which the loader reads. */
#define NUMBER(name, value) int(*name)[value]
#define TYPE(name, type) type *name

#define MAP_HASH 1
#define MAP_ARRAY 2
#define MAP_PERCPU_ARRAY 6
#define MAP_LRU_HASH 9
#define MAP_RINGBUF 27

#define ANY 0
#define NOEXIST 1
#define NO_WAKEUP 1

#define NEXT -1 /* TC_ACT_UNSPEC and TCX_NEXT: whoever is behind us decides */

struct __sk_buff {
	u32 len, pkt_type, mark, queue_mapping, protocol;
	u32 vlan_present, vlan_tci, vlan_proto, priority;
	u32 ingress_ifindex, ifindex, tc_index, cb[5], hash, tc_classid;
	u32 data, data_end, napi_id;
	u32 family, remote_ip4, local_ip4, remote_ip6[4], local_ip6[4], remote_port, local_port;
	u32 data_meta;
	u64 flow_keys;
	u64 tstamp;
	u32 wire_len, gso_segs;
	u64 sk;
	u32 gso_size;
};

static void *(*lookup)(void *map, const void *key) = (void *)1;
static long (*update)(void *map, const void *key, const void *value, u64 flags) = (void *)2;
static long (*forget)(void *map, const void *key) = (void *)3;
static u64 (*monotonic)(void) = (void *)5;
static long (*load)(const void *skb, u32 offset, void *to, u32 len) = (void *)26;
static void *(*reserve)(void *ringbuf, u64 size, u64 flags) = (void *)131;
static void (*submit)(void *data, u64 flags) = (void *)132;
static void (*discard)(void *data, u64 flags) = (void *)133;
static u64 (*monotonic_coarse)(void) = (void *)160;

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define ntoh16(x) __builtin_bswap16(x)
#define ntoh32(x) __builtin_bswap32(x)
#define ntoh64(x) __builtin_bswap64(x)
#else
#define ntoh16(x) (x)
#define ntoh32(x) (x)
#define ntoh64(x) (x)
#endif

#define add(p, n) ((void)__sync_fetch_and_add(p, n))

/* opaque keeps the compiler from reasoning about x, so that a bound that it
 * would find superfluous is still there for the verifier to see. */
#define opaque(x) __asm__ volatile("" : "+r"(x))

/* reload makes what comes after it load from memory again: a value that a branch
 * has looked at is a known number to the verifier, and an index that is a known
 * number on one way and not on another is refused without CAP_PERFMON. */
#define reload() __asm__ volatile("" : : : "memory")

/* apart keeps the compiler from making one place of several that differ only in
 * this number: see reload. */
#define apart(n) __asm__ volatile("" : : "i"(n) : "memory")

/* in_order keeps loads before it before it, and those after it after it. */
#define in_order(x) __asm__ volatile("" : "+r"(x) : : "memory")
