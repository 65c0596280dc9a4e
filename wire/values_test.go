package wire

import (
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"cordon"
)

// fill sets every field below v to something of its own, so that one that the wire
// forgets is seen.
func fill(v reflect.Value, n *int) {
	*n++
	switch v.Interface().(type) {
	case netip.Addr:
		v.Set(reflect.ValueOf(netip.AddrFrom4([4]byte{192, 0, 2, byte(*n)})))
		return
	case netip.Prefix:
		v.Set(reflect.ValueOf(netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 51, 100, 0}), 24)))
		return
	case cordon.Level:
		v.Set(reflect.ValueOf(cordon.Notify))
		return
	case cordon.Class:
		v.Set(reflect.ValueOf(cordon.IoT))
		return
	}
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(*n))
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(uint64(*n%100) + 1)
	case reflect.Float64:
		v.SetFloat(float64(*n) / 2)
	case reflect.String:
		v.SetString(fmt.Sprintf("text %d", *n))
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), n)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fallthrough
	case reflect.Array:
		for i := range v.Len() {
			fill(v.Index(i), n)
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for range 2 {
			key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			fill(key, n)
			fill(value, n)
			v.SetMapIndex(key, value)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), n)
		}
	}
	if d, ok := v.Addr().Interface().(*cordon.Device); ok {
		d.Slot, d.Generation = 0, 0 // a router's own, which stay there
	}
}

// bodies are the fields of a report of which one is set.
var bodies = []string{"Device", "Detection", "Incident", "Action", "Enforced", "Health", "Summary"}

// reports returns one report of every sort with every field set.
func reports() (list []cordon.Report) {
	n := 0
	for i, name := range bodies {
		r := cordon.Report{ID: cordon.ReportID{Router: "router", Boot: 7, Seq: uint64(i + 1)}, At: 1_800_000_000e9, Doubt: time.Second}
		fill(reflect.ValueOf(&r).Elem().FieldByName(name), &n)
		r.Shadowed, r.Over = r.Detection != nil, r.Incident != nil
		list = append(list, r)
	}
	return list
}

// directive returns one with every field set.
func directive() Directive {
	n := 0
	d := Directive{Number: 9, Receiver: "router", Issued: 100, Expires: 200, Least: 1, Desired: &cordon.Desired{}, Shadows: &Shadows{},
		Indicators: &Indicators{}, Configuration: &Configuration{}}
	for _, part := range []any{d.Desired, d.Shadows, d.Indicators, d.Configuration} {
		fill(reflect.ValueOf(part).Elem(), &n)
	}
	return d
}

// draw sets every field below v to something random. A hostile text is anything, one
// that is not is UTF-8; a hostile number may be none.
func draw(t *rapid.T, v reflect.Value, hostile bool) {
	switch v.Interface().(type) {
	case netip.Addr:
		if n := rapid.IntRange(0, 2).Draw(t, "family"); n > 0 {
			b := rapid.SliceOfN(rapid.Byte(), 12*n-8, 12*n-8).Draw(t, "address") // 4 or 16
			a, _ := netip.AddrFromSlice(b)
			v.Set(reflect.ValueOf(a.Unmap()))
		}
		return
	case netip.Prefix:
		if rapid.Bool().Draw(t, "prefix") {
			a := netip.AddrFrom4([4]byte(rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "net")))
			p := netip.PrefixFrom(a, rapid.IntRange(0, 32).Draw(t, "bits")).Masked()
			if hostile && rapid.Bool().Draw(t, "mapped") {
				p = netip.PrefixFrom(netip.AddrFrom16(a.As16()), rapid.IntRange(0, 128).Draw(t, "bits"))
			}
			v.Set(reflect.ValueOf(p))
		}
		return
	case cordon.Level:
		v.SetUint(uint64(rapid.IntRange(0, int(cordon.Act)).Draw(t, "level")))
		return
	case cordon.Class:
		v.SetUint(uint64(rapid.IntRange(0, int(cordon.LifeLine)).Draw(t, "class")))
		return
	case cordon.MAC:
		return // with HasMAC, below
	}
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(rapid.Bool().Draw(t, "flag"))
	case reflect.Int:
		v.SetInt(int64(rapid.IntRange(0, 1<<30).Draw(t, "many")))
	case reflect.Int64:
		v.SetInt(rapid.Int64().Draw(t, "integer"))
	case reflect.Uint8:
		v.SetUint(uint64(rapid.IntRange(0, 100).Draw(t, "small")))
	case reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(rapid.Uint64().Draw(t, "natural") >> (64 - v.Type().Bits()))
	case reflect.Float64:
		v.SetFloat(rapid.Float64().Draw(t, "number"))
		if hostile && rapid.Bool().Draw(t, "none") {
			v.SetFloat(v.Float() / 0)
		}
	case reflect.String:
		if hostile {
			v.SetString(string(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes")))
		} else {
			v.SetString(rapid.String().Draw(t, "text"))
		}
	case reflect.Pointer:
		if rapid.Bool().Draw(t, "there") {
			v.Set(reflect.New(v.Type().Elem()))
			draw(t, v.Elem(), hostile)
		}
	case reflect.Slice:
		if n := rapid.IntRange(0, 3).Draw(t, "length"); n > 0 {
			v.Set(reflect.MakeSlice(v.Type(), n, n))
			for i := range n {
				draw(t, v.Index(i), hostile)
			}
			if addrs, ok := v.Addr().Interface().(*[]netip.Addr); ok && !hostile {
				*addrs = slices.DeleteFunc(*addrs, func(a netip.Addr) bool { return !a.IsValid() })
				if len(*addrs) == 0 {
					*addrs = nil
				}
			}
		}
	case reflect.Map:
		if n := rapid.IntRange(0, 3).Draw(t, "length"); n > 0 {
			v.Set(reflect.MakeMap(v.Type()))
			for range n {
				key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
				draw(t, key, hostile)
				draw(t, value, hostile)
				v.SetMapIndex(key, value)
			}
		}
	case reflect.Struct:
		for i := range v.NumField() {
			draw(t, v.Field(i), hostile)
		}
	}
	if d, ok := v.Addr().Interface().(*cordon.Device); ok {
		d.Slot, d.Generation = 0, 0
		if d.HasMAC {
			d.MAC = cordon.MAC(rapid.SliceOfN(rapid.Byte(), 6, 6).Draw(t, "MAC"))
		}
	}
}

// drawReports returns random reports.
func drawReports(t *rapid.T, hostile bool) []cordon.Report {
	list := make([]cordon.Report, rapid.IntRange(1, 4).Draw(t, "reports"))
	for i := range list {
		r := &list[i]
		r.ID = cordon.ReportID{Router: "router", Boot: 1, Seq: uint64(i + 1)}
		draw(t, reflect.ValueOf(&r.At).Elem(), hostile)
		draw(t, reflect.ValueOf(r).Elem().FieldByName(rapid.SampledFrom(bodies).Draw(t, "body")), hostile)
		r.Shadowed, r.Over = r.Detection != nil, r.Incident != nil
	}
	return list
}

var compare = cmp.Options{
	cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
	cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
}

func key(seed string) ed25519.PrivateKey {
	s := sha256.Sum256([]byte(seed))
	return ed25519.NewKeyFromSeed(s[:])
}

func keysOf(k ed25519.PrivateKey) Keys {
	public := k.Public().(ed25519.PublicKey)
	return Keys{KeyID(public): public}
}
