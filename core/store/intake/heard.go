package intake

import (
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"slices"
)

// span is reports from First to Last, both stored.
type span [2]uint64

// heard is which reports of one boot of a router were stored, as ranges in order. It is
// nearly always one range: reports come in order, and those that a router had to drop
// leave a gap.
type heard []span

// maxSpans bounds the ranges of a boot. Beyond it the lowest is forgotten: a report of it
// that comes once more is stored once more, which changes nothing but that it is told
// again.
const maxSpans = 128

// add notes a report and says whether it is new.
func (h *heard) add(n uint64) bool {
	i, found := slices.BinarySearchFunc(*h, n, func(s span, n uint64) int {
		switch {
		case s[1] < n:
			return -1
		case s[0] > n:
			return 1
		}
		return 0
	})
	if found {
		return false
	}
	behind := i > 0 && (*h)[i-1][1]+1 == n // continues the range before
	before := i < len(*h) && n+1 == (*h)[i][0]
	switch {
	case behind && before:
		(*h)[i-1][1] = (*h)[i][1]
		*h = slices.Delete(*h, i, i+1)
	case behind:
		(*h)[i-1][1] = n
	case before:
		(*h)[i][0] = n
	default:
		*h = slices.Insert(*h, i, span{n, n})
		if len(*h) > maxSpans {
			*h = slices.Delete(*h, 0, 1)
		}
	}
	return true
}

// Value writes the ranges as JSON: [[1,7],[9,9]].
func (h heard) Value() (driver.Value, error) {
	b, err := json.Marshal([]span(h))
	return string(b), err
}

// Scan is the reverse of Value.
func (h *heard) Scan(v any) error {
	s, ok := v.(string)
	if !ok {
		return fmt.Errorf("ranges are stored as %T", v)
	}
	return json.Unmarshal([]byte(s), (*[]span)(h))
}
