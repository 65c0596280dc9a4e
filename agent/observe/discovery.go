package observe

import (
	"bytes"
	"net/netip"

	"cordon"
	"cordon/agent/observe/ssdp"
	"cordon/internal/ascii"
)

// discovery reads one SSDP message. Announcements and responses give FactSSDP
// with Service (the device or service type, no uuid) and Model (the product in
// SERVER or X-User-Agent, unless it is a library); searches give cordon.SearchPrefix
// and the type searched for, without a model. Service is in lower case.
func (r *Reader) discovery() {
	m := &r.ssdp
	if m.Parse(r.p.Payload) != nil {
		r.stats.Malformed++
		return
	}
	o := r.fact(cordon.FactSSDP)
	o.Service = r.text[:0]
	switch m.Kind {
	case ssdp.Search:
		o.Service = append(o.Service, cordon.SearchPrefix...)
	case ssdp.Alive, ssdp.Response:
		if host, ok := hostOf(m.Location); ok && r.p.Src.Is4() && host != r.p.Src {
			r.stats.Foreign++
			return
		}
		o.Model = cut(m.Product())
	default:
		return
	}
	if len(m.Target) > 0 && !bytes.HasPrefix(m.Target, []byte("uuid:")) {
		o.Service = ascii.AppendLower(o.Service, m.Target[:min(len(m.Target), MaxText-len(o.Service))])
	} else if m.Kind == ssdp.Search {
		return
	}
	if len(o.Service) > 0 || len(o.Model) > 0 {
		r.yield(o)
	}
}

// hostOf returns the IPv4 address in a URL; ok is false when its host is none.
func hostOf(url []byte) (a netip.Addr, ok bool) {
	i := bytes.Index(url, []byte("://"))
	if i < 0 {
		return a, false
	}
	var ip [4]byte
	n, digits, value := 0, 0, 0
	for i += 3; i <= len(url); i++ {
		c := byte('/')
		if i < len(url) {
			c = url[i]
		}
		switch {
		case '0' <= c && c <= '9' && digits < 3:
			digits, value = digits+1, value*10+int(c-'0')
		case digits == 0 || value > 255 || n == 4:
			return a, false
		default:
			ip[n] = byte(value)
			n, digits, value = n+1, 0, 0
			if c != '.' {
				return netip.AddrFrom4(ip), n == 4 && (c == ':' || c == '/')
			}
		}
	}
	return a, false
}
