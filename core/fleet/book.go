package fleet

import (
	"cmp"
	"maps"
	"slices"

	"cordon"
)

// Bounds of the book.
const (
	maxFirings = 200_000 // about 60 MB
	perHome    = 64      // of those, for one home: no router fills the book
	maxText    = 100     // bytes of a model or version; hostile text
)

// Firing is one detection, as far as the breaker looks at it.
type Firing struct {
	Home      string // Router.ID
	Device    string
	Rule      Rule
	At        cordon.Time
	Confirmed bool
	Target    string // what a scoped action would be done to, see Entity.String
}

// Block is one action of an agent's own that changed what passes.
type Block struct {
	Home, Device string
	Entity       string
	All          bool // of the device's traffic: a quarantine
	At           cordon.Time
}

// place is one device of one home.
type place struct{ home, device string }

// firing is what is kept of a rule at a place: when it began to fire there and when it last
// did. Firings less than quiet apart are one.
type firing struct {
	rule        Rule // all three fields as reported
	family      cordon.Family
	begin, last cordon.Time
	confirmed   bool
	targets     []string    // of the detections, bounded
	blocked     cordon.Time // when the router first acted for it; 0: it did not
	overruled   bool
}

// book is what fired where. The same firings in another order make the same book.
type book struct {
	places map[place][]*firing
	homes  map[string]int // firings per home
	size   int
	blocks map[place][]Block // that wait for their firing
}

// newBook returns an empty book.
func newBook() *book {
	return &book{places: make(map[place][]*firing), homes: make(map[string]int), blocks: make(map[place][]Block)}
}

// maxTargets bounds the targets of a firing, and the blocks of a place.
const maxTargets = 16

// fire adds a firing.
func (b *book) fire(f Firing) {
	at := place{f.Home, f.Device}
	for _, have := range b.places[at] {
		if have.rule == f.Rule && f.At >= have.begin.Add(-quiet) && f.At <= have.last.Add(quiet) {
			have.begin, have.last = min(have.begin, f.At), max(have.last, f.At)
			have.confirmed = have.confirmed || f.Confirmed
			have.aim(f.Target)
			b.join(at)
			return
		}
	}
	if b.homes[f.Home] >= perHome || b.size >= maxFirings {
		return // pruned each hour; what is too much does not push out what is known
	}
	made := &firing{rule: f.Rule, family: f.Rule.Kind.Family(), begin: f.At, last: f.At, confirmed: f.Confirmed}
	made.aim(f.Target)
	b.places[at] = append(b.places[at], made)
	b.homes[f.Home]++
	b.size++
	b.join(at)
}

// aim remembers a target.
func (f *firing) aim(target string) {
	if len(f.targets) < maxTargets && !slices.Contains(f.targets, target) {
		f.targets = append(f.targets, target)
	}
}

// join makes one of two firings of a rule that one in between has connected.
func (b *book) join(at place) {
	list := b.places[at]
	if len(list) < 2 {
		return
	}
	slices.SortFunc(list, func(x, y *firing) int {
		return cmp.Or(x.rule.compare(y.rule), cmp.Compare(x.begin, y.begin))
	})
	for i := len(list) - 1; i > 0; i-- {
		x, y := list[i-1], list[i]
		if x.rule != y.rule || y.begin > x.last.Add(quiet) {
			continue
		}
		x.last, x.confirmed, x.overruled = max(x.last, y.last), x.confirmed || y.confirmed, x.overruled || y.overruled
		if x.blocked == 0 || y.blocked != 0 && y.blocked < x.blocked {
			x.blocked = y.blocked
		}
		for _, t := range y.targets {
			x.aim(t)
		}
		list = slices.Delete(list, i, i+1)
		b.homes[at.home]--
		b.size--
	}
	b.places[at] = list
}

// block adds an action; settle says for which firings it was taken.
func (b *book) block(k Block) {
	at := place{k.Home, k.Device}
	if have := b.blocks[at]; len(have) < maxTargets && len(b.blocks) < maxFirings && !slices.Contains(have, k) {
		b.blocks[at] = append(have, k)
	}
}

// settle finds the firings of blocks: those of the same device, at most near away, that
// are about the same part of its traffic, all of them for a quarantine. Blocks whose
// detection has not come yet wait until they are too old.
func (b *book) settle(now cordon.Time) {
	for at, blocks := range b.blocks {
		for _, k := range blocks {
			for _, f := range b.places[at] {
				if (k.All || slices.Contains(f.targets, k.Entity)) && k.At >= f.begin.Add(-near) && k.At <= f.last.Add(near) &&
					(f.blocked == 0 || k.At < f.blocked) {
					f.blocked = k.At
				}
			}
		}
		if blocks = slices.DeleteFunc(blocks, func(k Block) bool { return now.Sub(k.At) > newWindow }); len(blocks) == 0 {
			delete(b.blocks, at)
		} else {
			b.blocks[at] = blocks
		}
	}
}

// overrule marks what fired at a place within remembered: somebody said that it was wrong.
func (b *book) overrule(home, device string, kinds []cordon.Kind) {
	for _, f := range b.places[place{home, device}] {
		f.overruled = f.overruled || slices.Contains(kinds, f.rule.Kind)
	}
}

// prune forgets what is older than remembered.
func (b *book) prune(now cordon.Time) {
	for at, list := range b.places {
		kept := slices.DeleteFunc(list, func(f *firing) bool { return now.Sub(f.last) > remembered })
		b.size -= len(list) - len(kept)
		if b.homes[at.home] -= len(list) - len(kept); b.homes[at.home] <= 0 {
			delete(b.homes, at.home)
		}
		if len(kept) == 0 {
			delete(b.places, at)
		} else {
			b.places[at] = kept
		}
	}
}

// corroborated reports whether a firing has the support of another family: a confirmed
// detection of the same device at about the same time.
func corroborated(f *firing, list []*firing) bool {
	return slices.ContainsFunc(list, func(o *firing) bool {
		return o.confirmed && judged(o.family) && o.family != f.family &&
			o.begin <= f.begin.Add(near) && o.last >= f.begin.Add(-near)
	})
}

// tally is in how many homes a rule did what.
type tally struct {
	fresh     int // began within newWindow, without support
	wide      int // began within wideWindow
	blocked   int // began to be blocked within newWindow
	active    int // fired within shadowLife
	fired     int // within remembered
	overruled int
}

// add counts a home.
func (t *tally) add(is uint8) {
	for bit, n := range [...]*int{&t.fresh, &t.wide, &t.blocked, &t.active, &t.fired, &t.overruled} {
		*n += int(is >> bit & 1)
	}
}

// The same, as bits of a home, in the order of the counts.
const (
	isFresh = 1 << iota
	isWide
	isBlocked
	isActive
	hasFired
	isOverruled
)

// tallies counts homes, for every rule and those that it is part of. Firings that covered
// lies on do not count, nor do trusted ones but for what people said of them. What only
// fired some time ago counts where it matters: for kinds that people overruled, and for
// those of slow.
func (b *book) tallies(now cordon.Time, covered func(Rule) bool, slow map[cordon.Kind]bool) map[Rule]*tally {
	type mark struct {
		rule Rule
		home string
	}
	matters := b.overruled()
	maps.Copy(matters, slow)
	homes := make(map[mark]uint8)
	for at, list := range b.places {
		for _, f := range list {
			is := f.bits(now, list)
			if is&(isFresh|isWide|isBlocked) == 0 && !matters[f.rule.Kind] || covered(f.rule) {
				continue
			}
			for _, r := range f.rule.wider() {
				homes[mark{r, at.home}] |= is
			}
		}
	}
	all := make(map[Rule]*tally)
	for m, is := range homes {
		t := all[m.rule]
		if t == nil {
			t = new(tally)
			all[m.rule] = t
		}
		t.add(is)
	}
	return all
}

// bits says what f, one of its place's list, makes its home count for.
func (f *firing) bits(now cordon.Time, list []*firing) uint8 {
	is := uint8(hasFired)
	if f.overruled {
		is |= isOverruled
	}
	if !judged(f.family) || trusted(f.rule.Kind, f.confirmed) {
		return is
	}
	if age := now.Sub(f.begin); age <= wideWindow {
		is |= isWide
		if age <= newWindow && !corroborated(f, list) {
			is |= isFresh
		}
	}
	if f.blocked != 0 && now.Sub(f.blocked) <= newWindow {
		is |= isBlocked
	}
	if now.Sub(f.last) <= shadowLife {
		is |= isActive
	}
	return is
}

// overruled returns the kinds that somebody overruled.
func (b *book) overruled() map[cordon.Kind]bool {
	kinds := make(map[cordon.Kind]bool)
	for _, list := range b.places {
		for _, f := range list {
			if f.overruled {
				kinds[f.rule.Kind] = true
			}
		}
	}
	return kinds
}
