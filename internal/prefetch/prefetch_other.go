//go:build !amd64 && !arm64

// Package prefetch tells the processor what memory will be needed next.
package prefetch

// Line does nothing here.
func Line(*byte) {}
