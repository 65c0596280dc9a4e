package message

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"strings"
)

// HTTPGet is a request of HTTP/1.1.
func HTTPGet(host, path, agent string) []byte {
	return fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: %s\r\nAccept: */*\r\n\r\n", path, host, agent)
}

// HTTPReply is an answer of HTTP/1.1 with size bytes of text.
func HTTPReply(status string, size int) []byte {
	b := fmt.Appendf(nil, "HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", status, size)
	for i := range size {
		b = append(b, "{\"state\":1,\"on\":true}\n"[i%22])
	}
	return b
}

// HTTPAsk is a request of HTTP/1.1 with more header lines and a body, both may
// be empty.
func HTTPAsk(method, host, path, agent, headers, body string) []byte {
	b := fmt.Appendf(nil, "%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: %s\r\nAccept: */*\r\n%s", method, path, host, agent, headers)
	if body != "" {
		b = fmt.Appendf(b, "Content-Length: %d\r\n", len(body))
	}
	return append(append(b, "\r\n"...), body...)
}

// Basic is the header line of a log-in (RFC 7617 §2).
func Basic(user, password string) string {
	return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password)) + "\r\n"
}

// HTTPRefused answers a request without the right password (RFC 9110 §15.5.2).
func HTTPRefused(realm string) []byte {
	return fmt.Appendf(nil, "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"%s\"\r\n"+
		"Content-Type: text/html\r\nContent-Length: 24\r\n\r\n<h1>not authorised</h1>\r\n", realm)
}

// HTTPFile answers with a file.
func HTTPFile(kind string, content []byte) []byte {
	b := fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n", kind, len(content))
	return append(b, content...)
}

// ELF is size bytes that begin as a program for MIPS, big endian, does (System V
// ABI, "ELF Header"): no entry, no sections, and nothing but zeros behind it.
func ELF(size int) []byte {
	b := make([]byte, max(size, 52))
	copy(b, []byte{0x7f, 'E', 'L', 'F', 1, 2, 1})
	be.PutUint16(b[16:], 2) // executable
	be.PutUint16(b[18:], 8) // MIPS
	be.PutUint32(b[20:], 1)
	be.PutUint16(b[40:], 52)
	return b
}

// Package is size bytes of a compressed archive as package managers fetch it.
func Package(r *rand.Rand, size int) []byte {
	return random(r, []byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3}, size)
}

// Lines joins what an IRC side says into its form on the wire (RFC 1459 §2.3).
func Lines(lines ...string) []byte { return []byte(strings.Join(lines, "\r\n") + "\r\n") }
