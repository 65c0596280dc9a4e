package slots

// Few keeps a V for each of the last few keys that were asked for. The zero value
// is ready.
type Few[K comparable, V any] struct {
	places []place[K, V]
}

type place[K comparable, V any] struct {
	key   K
	used  int64
	value V
}

// Get returns the value of a key and notes that it was used at now. A new key
// gets a zero value; when most keys are kept already it takes the place of the
// one used longest ago. The value is valid until the next Get.
func (f *Few[K, V]) Get(key K, now int64, most int) *V {
	if v := f.Peek(key, now); v != nil {
		return v
	}
	fresh := place[K, V]{key: key, used: now}
	if len(f.places) < most {
		f.places = append(f.places, fresh)
		return &f.places[len(f.places)-1].value
	}
	oldest := &f.places[0]
	for i := range f.places {
		if f.places[i].used < oldest.used {
			oldest = &f.places[i]
		}
	}
	*oldest = fresh
	return &oldest.value
}

// Peek is Get for keys that are kept; it returns nil for others.
func (f *Few[K, V]) Peek(key K, now int64) *V {
	for i := range f.places {
		if p := &f.places[i]; p.key == key {
			p.used = now
			return &p.value
		}
	}
	return nil
}
