package gateway

import (
	"reflect"
	"sync"
	"time"

	"cordon"
	"cordon/internal/text"
)

// What a report may say. The message's own bounds (wire) keep a router from filling
// core's memory; these keep nonsense out of records that people and other parts read.
const (
	// ahead is how far a time may lie in the future: a router's clock may be off by a
	// zone, and what lies further says nothing.
	ahead = 26 * time.Hour
	// farthest is how far an end may lie in the future.
	farthest = 10 * 366 * 24 * time.Hour
	maxSpan  = 100 * 366 * 24 * time.Hour
	maxText  = 1024 // bytes of a text
	maxItems = 1024 // of a list
	maxName  = 128  // bytes of the name of a counter
)

var (
	timeType = reflect.TypeFor[cordon.Time]()
	spanType = reflect.TypeFor[time.Duration]()
)

// clean puts what a report says within bounds. It walks over all fields, so that one that
// a later version adds is bounded, too.
func clean(r *cordon.Report, now time.Time) {
	id := r.ID // names the report for ever: refused if it is wrong, never changed
	c := cleaner{latest: int64(cordon.TimeOf(now.Add(ahead))), farthest: int64(cordon.TimeOf(now.Add(farthest)))}
	c.value(reflect.ValueOf(r).Elem(), planOf(reflect.TypeFor[cordon.Report](), ""))
	r.ID = id
}

// plan is what there is to bound in values of a type. Types are walked once, values for
// every report.
type plan struct {
	what   int
	fields []field // of a struct, those with something to bound
	of     *plan   // of a pointer's or list's elements; nil: nothing to bound
}

type field struct {
	index int
	*plan
}

// What a plan is of.
const (
	planTime = iota
	planEnd  // a time that may lie far in the future
	planSpan
	planText
	planPointer
	planList
	planStruct
	planCounters
)

type planKey struct {
	reflect.Type
	end bool
}

var plans sync.Map // planKey → *plan, nil for types with nothing to bound

// planOf returns the plan of a type, for a field of that name.
func planOf(t reflect.Type, name string) *plan {
	key := planKey{t, name == "Expires"}
	if p, ok := plans.Load(key); ok {
		return p.(*plan)
	}
	p := makePlan(t, key.end)
	plans.Store(key, p)
	return p
}

func makePlan(t reflect.Type, end bool) *plan {
	switch {
	case t == timeType && end:
		return &plan{what: planEnd}
	case t == timeType:
		return &plan{what: planTime}
	case t == spanType:
		return &plan{what: planSpan}
	}
	switch t.Kind() {
	case reflect.String:
		return &plan{what: planText}
	case reflect.Pointer:
		if of := planOf(t.Elem(), ""); of != nil {
			return &plan{what: planPointer, of: of}
		}
	case reflect.Slice:
		return &plan{what: planList, of: planOf(t.Elem(), "")}
	case reflect.Map:
		if t.Key().Kind() == reflect.String {
			return &plan{what: planCounters}
		}
	case reflect.Struct:
		p := &plan{what: planStruct}
		for i := range t.NumField() {
			if !ours(t) { // an address, which its own package has checked
				break
			}
			if of := planOf(t.Field(i).Type, t.Field(i).Name); of != nil {
				p.fields = append(p.fields, field{i, of})
			}
		}
		if len(p.fields) > 0 {
			return p
		}
	}
	return nil
}

type cleaner struct{ latest, farthest int64 }

// value bounds v, of which there is a plan.
func (c *cleaner) value(v reflect.Value, p *plan) {
	switch p.what {
	case planTime:
		limit(v, c.latest)
	case planEnd:
		limit(v, c.farthest)
	case planSpan:
		limit(v, int64(maxSpan))
	case planText:
		if s := v.String(); !text.Sound(s, maxText) {
			v.SetString(text.Clean(s, maxText))
		}
	case planPointer:
		if !v.IsNil() {
			c.value(v.Elem(), p.of)
		}
	case planStruct:
		for _, f := range p.fields {
			c.value(v.Field(f.index), f.plan)
		}
	case planList:
		if v.Len() > maxItems {
			v.Set(v.Slice3(0, maxItems, maxItems))
		}
		for i := 0; p.of != nil && i < v.Len(); i++ {
			c.value(v.Index(i), p.of)
		}
	case planCounters:
		bound(v)
	}
}

// limit puts a number between 0 and most.
func limit(v reflect.Value, most int64) {
	if n := v.Int(); n < 0 {
		v.SetInt(0)
	} else if n > most {
		v.SetInt(most)
	}
}

// ours reports whether a struct is of the vocabulary.
func ours(t reflect.Type) bool { return t.PkgPath() == "cordon" }

// bound leaves at most maxItems counters, with sound names.
func bound(v reflect.Value) {
	if v.Len() == 0 {
		return
	}
	kept := 0
	for _, k := range v.MapKeys() {
		if s := k.String(); kept < maxItems && s != "" && text.Sound(s, maxName) {
			kept++
			continue
		}
		v.SetMapIndex(k, reflect.Value{})
	}
}
