package page

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"cordon"
)

// maxRanges is how many language ranges of a request are looked at.
const maxRanges = 16

// accepted returns the one of the offered languages that an Accept-Language header
// (RFC 9110 §12.5.4) prefers, the first if none.
func accepted(header string, offered []string) string {
	best, weight := offered[0], 0.0
	for n := 0; n < maxRanges && header != ""; n++ {
		var one string
		one, header, _ = strings.Cut(header, ",")
		tag, params, _ := strings.Cut(one, ";")
		primary, _, _ := strings.Cut(strings.ToLower(strings.TrimSpace(tag)), "-")
		q := 1.0
		if value, ok := strings.CutPrefix(strings.TrimSpace(params), "q="); ok {
			var err error
			if q, err = strconv.ParseFloat(value, 64); err != nil || !(q >= 0 && q <= 1) {
				continue
			}
		}
		if q > weight && slices.Contains(offered, primary) {
			best, weight = primary, q
		}
	}
	return best
}

// texts is the page in one language.
type texts struct {
	Name    string // of the language, in itself
	months  []string
	date    string // of day, month and year
	Title   string
	Heading string // of the device
	Since   string // of the time
	Until   string // of the time
	Why     string
	ByHand  string
	because map[cordon.Family]string
	other   string // for any other family
	Details string

	Works   string
	working []string
	updates string

	Do    string
	steps []string

	Out    string
	Portal string // "open {portal}", before the address
	How    string
	Press  string
	Help   string // before how to reach a person

	Provider string // without a name
	NotCut   string
	NotCutIs string
}

// when writes a moment for people; what is before 2020 comes from a clock that was
// never set.
func (t *texts) when(at cordon.Time, where *time.Location) string {
	local := at.Std().In(where)
	if local.Year() < 2020 {
		return ""
	}
	return strings.NewReplacer("{day}", strconv.Itoa(local.Day()), "{month}", t.months[local.Month()-1],
		"{year}", strconv.Itoa(local.Year()), "{time}", local.Format("15:04")).Replace(t.date)
}
