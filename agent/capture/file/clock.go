package file

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
)

// Options of an interface description block, draft-ietf-opsawg-pcapng §4.2.
const (
	optEnd       = 0
	optTimeUnit  = 9  // if_tsresol: exponent of 10, or of 2 with the top bit set
	optTimeShift = 14 // if_tsoffset: seconds to add
)

// clock turns an interface's time stamps into nanoseconds: a stamp times mul
// over div, plus shift.
type clock struct {
	mul, div uint64
	shift    int64 // nanoseconds
}

var errOption = errors.New("interface option exceeds its block")

// clock reads the options that concern time; without them a unit is a
// microsecond.
func (o order) clock(options []byte) (clock, error) {
	c := clock{mul: 1000, div: 1}
	for len(options) >= 4 {
		code, size := o.u16(options), int(o.u16(options[2:]))
		if code == optEnd {
			break
		}
		options = options[4:]
		if size > len(options) {
			return c, errOption
		}
		value := options[:size]
		options = options[min((size+3)&^3, len(options)):]
		switch {
		case code == optTimeUnit && size == 1:
			if err := c.setUnit(value[0]); err != nil {
				return c, err
			}
		case code == optTimeShift && size == 8:
			c.shift = mulSeconds(int64(o.u64(value)))
		}
	}
	return c, nil
}

// setUnit takes the value of if_tsresol. A unit of which 64 bits cannot count a
// second is refused.
func (c *clock) setUnit(v byte) error {
	exponent := int(v & 0x7f)
	if v&0x80 != 0 {
		if exponent > 63 {
			return fmt.Errorf("time unit of 2^-%d seconds", exponent)
		}
		c.mul, c.div = 1e9, 1<<exponent
		return nil
	}
	c.mul, c.div = 1, 1
	if exponent > 19 {
		return fmt.Errorf("time unit of 10^-%d seconds", exponent)
	}
	for ; exponent < 9; exponent++ {
		c.mul *= 10
	}
	for ; exponent > 9; exponent-- {
		c.div *= 10
	}
	return nil
}

// nanos converts a time stamp; what does not fit is the latest time there is.
func (c *clock) nanos(stamp uint64) int64 {
	high, low := bits.Mul64(stamp, c.mul)
	switch {
	case high >= c.div:
		low = math.MaxInt64
	case c.div > 1:
		low, _ = bits.Div64(high, low, c.div)
	}
	if low > math.MaxInt64 {
		low = math.MaxInt64
	}
	t := int64(low)
	if c.shift > 0 && t > math.MaxInt64-c.shift {
		return math.MaxInt64
	}
	return t + c.shift // t >= 0, so a negative shift cannot overflow
}

// mulSeconds is s in nanoseconds, bounded to what fits.
func mulSeconds(s int64) int64 {
	const most = math.MaxInt64 / 1_000_000_000
	return min(max(s, -most), most) * 1_000_000_000
}
