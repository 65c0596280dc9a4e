package desk

import (
	"crypto/sha256"
	"time"

	"cordon/internal/ident"
)

// NewID returns the id of what a request makes. With an Idempotency-Key it follows from
// that and the request: the same order twice is one. A key alone is not enough: its answer
// is kept for a day, an order for up to 90, and meanwhile the key may be another's.
func (c *Call) NewID(now time.Time) string {
	key := c.Request.Header.Get("Idempotency-Key")
	if key == "" {
		return ident.New(now)
	}
	sum := sha256.Sum256(append([]byte(c.Subject.User+"\x00"+c.Route.Path+"\x00"+key+"\x00"), c.request[:]...))
	return ident.Text(sum[:16])
}
