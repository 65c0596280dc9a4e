package ssdp_test

import (
	"testing"

	"cordon/agent/observe/ssdp"
)

func TestParse(t *testing.T) {
	type want struct {
		kind                      ssdp.Kind
		target, product, location string
	}
	tests := []struct {
		name, in string
		want     want
		err      error
	}{
		{
			name: "alive",
			in: "NOTIFY * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nNt:upnp:rootdevice\r\nNTS: ssdp:alive\r\n" +
				"LOCATION: http://192.0.2.7:80/d.xml\r\nServer: Linux/3.14 UPnP/1.0 IpBridge/1.26.0\r\n\r\nST: body\r\n",
			want: want{ssdp.Alive, "upnp:rootdevice", "IpBridge/1.26.0", "http://192.0.2.7:80/d.xml"},
		},
		{
			name: "byebye, by the header after NT",
			in:   "NOTIFY * HTTP/1.1\r\nNT: urn:x\r\nNTS: SSDP:byebye\r\n\r\n",
			want: want{kind: ssdp.Bye, target: "urn:x"},
		},
		{
			name: "response with commas and a generic product",
			in:   "HTTP/1.1 200 OK\r\nST: urn:Belkin:device:**\r\nSERVER: Unspecified, UPnP/1.0, Unspecified\r\nX-User-Agent: redsonic\r\n\r\n",
			want: want{kind: ssdp.Response, target: "urn:Belkin:device:**", product: "redsonic"},
		},
		{
			name: "search, bare line feeds, no end",
			in:   "M-SEARCH * HTTP/1.1\nMAN: \"ssdp:discover\"\nno colon\n: no key\nST: ssdp:all\nST: second",
			want: want{kind: ssdp.Search, target: "ssdp:all"},
		},
		{name: "library only", in: "HTTP/1.1 200 OK\r\nSERVER: OS/1 UPnP/1.1 MiniUPnPd/2.1\r\n\r\n", want: want{kind: ssdp.Response}},
		{name: "server without product", in: "HTTP/1.1 200 OK\r\nSERVER: OS/1 UPnP/1.1\r\n\r\n", want: want{kind: ssdp.Response}},
		{name: "refused", in: "HTTP/1.1 404 Not Found\r\n\r\n", err: ssdp.ErrStart},
		{name: "empty", err: ssdp.ErrStart},
		{name: "other", in: "GET / HTTP/1.1\r\n\r\n", err: ssdp.ErrStart},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var m ssdp.Message
			if err := m.Parse([]byte(tt.in)); err != tt.err {
				t.Fatalf("Parse: got error %v, want %v", err, tt.err)
			}
			if got := (want{m.Kind, string(m.Target), string(m.Product()), string(m.Location)}); got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestAllocs(t *testing.T) {
	b := []byte("HTTP/1.1 200 OK\r\nST: a\r\nSERVER: OS/1 UPnP/1.1 TV/2\r\n\r\n")
	n := testing.AllocsPerRun(100, func() {
		var m ssdp.Message
		for n := range b {
			_ = m.Parse(b[:n])
			m.Product()
		}
	})
	if n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

func FuzzSSDP(f *testing.F) {
	f.Add([]byte("NOTIFY * HTTP/1.1\r\nNT: a\r\nSERVER: OS/1 UPnP/1.1 TV/2\r\n\r\n"))
	f.Add([]byte("HTTP/1.1 200 OK\r\nST: a\r\nX-User-Agent: b\r\n\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var m ssdp.Message
		if err := m.Parse(b); (err == nil) != (m.Kind != 0) {
			t.Fatalf("error %v, kind %d", err, m.Kind)
		}
		m.Product()
	})
}
