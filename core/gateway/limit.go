package gateway

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// limits is a bucket for each of many names: addresses, serials, routers.
type limits struct {
	per   rate.Limit
	burst int

	mu      sync.Mutex
	buckets map[string]*rate.Limiter // guarded by mu
}

// maxLimits bounds the buckets of one sort. When they are used up everybody begins anew,
// which is better than to refuse the honest.
const maxLimits = 100_000

func newLimits(per rate.Limit, burst int) *limits {
	return &limits{per: per, burst: burst, buckets: make(map[string]*rate.Limiter)}
}

// allow takes n out of the bucket of a name and reports whether they were in it.
func (l *limits) allow(name string, n int, now time.Time) bool {
	l.mu.Lock()
	b, ok := l.buckets[name]
	if !ok {
		if len(l.buckets) >= maxLimits {
			clear(l.buckets)
		}
		b = rate.NewLimiter(l.per, l.burst)
		l.buckets[name] = b
	}
	l.mu.Unlock()
	return b.AllowN(now, n)
}

// What a connected router may say. Honest agents need a hundredth of it; when one comes
// back after days, its queue of 4 MB fits into the bursts (agent/uplink).
const (
	reportsPer   = 500 // reports a second
	reportsBurst = 40_000
	bytesPer     = 256 << 10 // a second
	bytesBurst   = 12 << 20
	hellosPer    = 1.0 / 5 // a second
	hellosBurst  = 10
	answersPer   = 5 // a second that another instance may have asked for
	answersBurst = 20
	refusedPer   = 1.0 / 3600 // lines of the record a second, of one router and reason
)

// said is what routers have said lately.
type said struct {
	bytes, reports, hellos, answers, refused *limits
}

func newSaid() said {
	return said{newLimits(bytesPer, bytesBurst), newLimits(reportsPer, reportsBurst), newLimits(hellosPer, hellosBurst),
		newLimits(answersPer, answersBurst), newLimits(refusedPer, 1)}
}
