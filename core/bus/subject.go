package bus

import (
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
)

// Every subject and stream of the bus is declared here.
//
// A router publishes on from.<router>.<what> and hears to.<router>.<what> and
// to.all.<what>, in its own account. Core's parts speak on core.<what>, in another.
const (
	fromRouter = "from."
	toRouter   = "to."
	all        = "all"
	inCore     = "core."

	// hello is what a router says of itself after each connection, and when it hears the
	// same word.
	hello = "hello"

	queue = "core" // instances of core share what routers say
)

// stream is where appended messages wait for their consumer.
type stream struct {
	name     string
	subjects []string
}

// streams is every stream. Their messages are removed when they were handled; when
// there is no room, Append fails and nothing that was taken is lost.
var streams = []stream{{name: "REPORTS", subjects: []string{"core.report"}}}

// durable returns the name of the stream that keeps subject, or an error.
func durable(subject string) (string, error) {
	for _, s := range streams {
		if slices.Contains(s.subjects, subject) {
			return s.name, nil
		}
	}
	return "", fmt.Errorf("subject %q belongs to no stream", subject)
}

// spoken returns an error if subject is not one that core's parts may announce on.
func spoken(subject string) error {
	what, ok := strings.CutPrefix(subject, inCore)
	if !ok || strings.Trim(what, ".") != what || strings.Contains(what, "..") || !plain(strings.ReplaceAll(what, ".", "-")) {
		return fmt.Errorf("subject %q: want core.<what>", subject)
	}
	if name, err := durable(subject); err == nil {
		return fmt.Errorf("subject %q is kept in stream %s: append to it", subject, name)
	}
	return nil
}

// plain reports whether s is one token of a subject without any special meaning.
func plain(s string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_':
		default:
			return false
		}
	}
	return true
}

// isRouter reports whether s can be the id of a router: a plain token that is not the
// name of all of them.
func isRouter(s string) bool { return plain(s) && s != all }

// address makes the subject of a message about what, from or to a router or all.
func address(direction, router, what string) (string, error) {
	if !plain(router) || !plain(what) {
		return "", fmt.Errorf("router %q, message %q: want plain words", router, what)
	}
	return direction + router + "." + what, nil
}

// sender returns the router in a subject from.<router>.<what>.
func sender(subject string) (router string, ok bool) {
	rest, ok := strings.CutPrefix(subject, fromRouter)
	if !ok {
		return "", false
	}
	router, _, ok = strings.Cut(rest, ".")
	return router, ok && isRouter(router)
}

// config is how the stream is kept on the server.
func (s stream) config(maxBytes int64, replicas int) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:      s.name,
		Subjects:  s.subjects,
		Retention: jetstream.WorkQueuePolicy, // gone when handled
		Discard:   jetstream.DiscardNew,      // full: say so, and forget nothing
		MaxBytes:  maxBytes,
		Storage:   jetstream.FileStorage,
		Replicas:  replicas,
		// Whether a report was seen before is known by SQL, for ever; the window here
		// would be short and cost memory.
		Duplicates: minWindow,
	}
}
