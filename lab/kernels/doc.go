// Package kernels shows eyes and hands together on kernels that the machine of a
// developer does not have: with flowtables, with ports that come back under
// another number, without tcx. It holds tests only; scripts/kernels boots Debian's
// kernels in qemu and runs them there, and the live tests of other packages with
// them. What a test needs and this machine's kernel lacks, it says and skips.
package kernels
