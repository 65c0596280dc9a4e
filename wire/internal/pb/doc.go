// Package pb is what protoc-gen-go makes of wire.proto. Only tests use it, to hold
// package wire to the schema: it would cost a router 2.2 MB of memory.
package pb

//go:generate ../../../scripts/protobuf
