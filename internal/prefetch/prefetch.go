//go:build amd64 || arm64

// Package prefetch tells the processor what memory will be needed next.
package prefetch

// Line asks for the cache line that p points into. It reads nothing that the
// program could see, and never faults.
//
//go:noescape
func Line(p *byte)
