package load

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nkeys"
)

// How a connection behaves, as an agent's does (agent/uplink).
const (
	dialWithin  = 45 * time.Second
	writeWithin = 10 * time.Second
	// bufferBytes holds the longest line of a server: what it says of itself.
	bufferBytes = 2 << 10
)

// conn is a connection to the bus that speaks as little of NATS's client protocol as a
// router needs. Anybody may write; one reads.
type conn struct {
	net.Conn
	lines *bufio.Reader
	mu    sync.Mutex // one writes at a time
}

// login is who connects.
type login struct {
	name, token string
	key         nkeys.KeyPair
}

// connect makes a connection to the bus.
func connect(ctx context.Context, from *net.TCPAddr, at string, secure *tls.Config, who login) (*conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialWithin)
	defer cancel()
	plain, err := (&net.Dialer{LocalAddr: from}).DialContext(ctx, "tcp", at)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { plain.Close() })
	defer stop()
	c := &conn{Conn: plain, lines: bufio.NewReaderSize(plain, bufferBytes)}
	if err := c.begin(ctx, secure, who); err != nil {
		plain.Close()
		return nil, err
	}
	return c, nil
}

// begin secures the connection and logs in. All of it has as long as ctx: a server to which
// many come at once lets them wait for its part of the handshake.
func (c *conn) begin(ctx context.Context, secure *tls.Config, who login) error {
	about, err := c.lines.ReadSlice('\n')
	if err != nil {
		return err
	}
	var info struct {
		Nonce string `json:"nonce"`
	}
	text, ok := bytes.CutPrefix(about, []byte("INFO "))
	if !ok || json.Unmarshal(text, &info) != nil {
		return fmt.Errorf("the bus begins with %q", about[:min(len(about), 32)])
	}
	if c.lines.Buffered() > 0 {
		return errors.New("the bus speaks before it is secured")
	}
	secured := tls.Client(c.Conn, secure)
	if err := secured.HandshakeContext(ctx); err != nil {
		return err
	}
	c.Conn = secured
	c.lines.Reset(c.Conn)
	signed, err := who.key.Sign([]byte(info.Nonce))
	if err != nil {
		return err
	}
	hello, err := json.Marshal(map[string]any{"verbose": false, "pedantic": false, "tls_required": true, "jwt": who.token,
		"sig": base64.RawURLEncoding.EncodeToString(signed), "name": who.name, "lang": "go", "version": "lab", "protocol": 1, "echo": true})
	if err != nil {
		return err
	}
	if err := c.write([]byte("CONNECT " + string(hello) + "\r\nPING\r\n")); err != nil {
		return err
	}
	for {
		line, err := c.lines.ReadSlice('\n')
		switch {
		case err != nil:
			return err
		case bytes.HasPrefix(line, []byte("-ERR")):
			return fmt.Errorf("the bus says %q", bytes.TrimSpace(line))
		case bytes.HasPrefix(line, []byte("PONG")):
			return nil
		}
	}
}

func (c *conn) write(b []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.SetWriteDeadline(time.Now().Add(writeWithin)) // a connection that is closed says so below
	_, err := c.Write(b)
	return err
}

// publish says something.
func (c *conn) publish(subject string, data []byte) error {
	b := make([]byte, 0, len(subject)+len(data)+16)
	b = fmt.Appendf(b, "PUB %s %d\r\n", subject, len(data))
	return c.write(append(append(b, data...), "\r\n"...))
}

// maxTaken is the longest message that is looked at: acknowledgements and hellos are
// shorter, and directives are passed over.
const maxTaken = 64

// read calls take with each message until the connection ends. data is valid during the
// call; it is nil if the message was too long to be taken.
func (c *conn) read(take func(what, data []byte), pong func()) error {
	var space [maxTaken + 2]byte
	for {
		line, err := c.lines.ReadSlice('\n')
		if err != nil {
			return err
		}
		switch {
		case bytes.HasPrefix(line, []byte("MSG ")):
			if err := c.message(line, space[:], take); err != nil {
				return err
			}
		case bytes.HasPrefix(line, []byte("PING")):
			if err := c.write([]byte("PONG\r\n")); err != nil {
				return err
			}
		case bytes.HasPrefix(line, []byte("PONG")):
			pong()
		case bytes.HasPrefix(line, []byte("-ERR")):
			return fmt.Errorf("the bus says %q", bytes.TrimSpace(line))
		}
	}
}

// message reads what follows "MSG subject sid bytes".
func (c *conn) message(line, space []byte, take func(what, data []byte)) error {
	fields := bytes.Fields(line)
	n, err := strconv.Atoi(string(fields[len(fields)-1]))
	if err != nil || len(fields) < 4 {
		return fmt.Errorf("the bus says %q", line)
	}
	what := fields[1][bytes.LastIndexByte(fields[1], '.')+1:]
	if n > maxTaken {
		take(what, nil)
		_, err := c.lines.Discard(n + 2)
		return err
	}
	what = append(make([]byte, 0, 16), what...) // the line's space is used again
	if _, err := io.ReadFull(c.lines, space[:n+2]); err != nil {
		return err
	}
	take(what, space[:n])
	return nil
}
