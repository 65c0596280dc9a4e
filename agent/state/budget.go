package state

import "time"

// The budget of what is written to flash, in bytes. It is a bucket that holds
// burst bytes and fills at perDay:
//
//	in any 24 hours at most burst + perDay = 1.8 MB + 3 MB, and one file more (that
//	of Stopped, at most 135 kB), which makes 4.94 MB.
//
// A write costs its length rounded up to pages, and one page more for the directory:
// a usual State of 4 kB costs 8 kB. So ordinary saves, at most one in five minutes
// and only of what changed, cost at most 288 × 8 kB = 2.4 MB a day. They leave reserve
// in the bucket, which only urgent ones (a quarantine, a permission) may use: 110 of
// them in a burst, then one in four minutes. What the bucket held is written with
// the State, so that an agent that is restarted again and again keeps within it too.
const (
	burst   = 1_800_000
	perDay  = 3_000_000
	reserve = 900_000
	// foreseen is what may be claimed without writing a file that says so.
	foreseen = 4 * page
	page     = 4096 // of the flash translation layers of cheap eMMC, and of ext4 and UBIFS
)

// cost returns what writing n bytes takes from the budget.
func cost(n int) int64 { return int64((n+page-1)/page+1) * page }

// budget is the bucket. left may fall below zero: what was written was written.
type budget struct {
	left int64
	at   time.Duration // uptime when left was true
}

// fill lets time pass.
func (b *budget) fill(uptime time.Duration) {
	if uptime <= b.at {
		return
	}
	gained := int64((uptime - b.at).Seconds() * perDay / (24 * 60 * 60))
	if gained == 0 {
		return // let the fraction grow
	}
	b.left, b.at = min(burst, b.left+gained), uptime
}

// spend takes what n bytes cost.
func (b *budget) spend(n int) { b.left -= cost(n) }

// wait returns how long it takes until n bytes may be written.
func (b *budget) wait(n int, urgent bool) time.Duration {
	need := cost(n)
	if !urgent {
		need += reserve
	}
	if b.left >= need {
		return 0
	}
	return time.Duration(float64(need-b.left)/perDay*(24*60*60)*float64(time.Second)) + time.Second
}
