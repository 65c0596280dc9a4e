// Package bus carries everything that moves between routers and core, and between
// instances of core. Nothing else in core speaks NATS.
//
// Messages come in from routers (FromRouters) and from core's own parts (Append,
// Announce); they go out to routers (ToRouter, ToAll) and to core's parts (Consume,
// Listen). What is appended survives a power cut; everything else is said once to
// whoever listens, and is asked for again by who missed it.
//
// The server is embedded, or an external cluster with the same keys. Three accounts
// keep its users apart: routers live in one without any stream, each confined to its
// own subjects by the scope of the key that signed its credential; core's streams live
// in another, which no router reaches; the third is the server's own, through which
// core revokes credentials and sees who is connected. So no stream has a subject on
// which a router may publish, and nothing answers to a reply subject that a router
// chose: that is how one router could make the server write to another
// (docs/reference/bus.md).
package bus
