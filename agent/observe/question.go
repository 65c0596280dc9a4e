package observe

import (
	"time"

	"cordon"
	"cordon/agent/observe/dns"
)

const (
	// answerWithin is how long after a question its answer is believed. Stub
	// resolvers give up after 5 s a try and two tries (resolv.conf(5)), and ask
	// the next server then; a recursive one keeps its client waiting no longer.
	answerWithin = 30 * time.Second
	// maxQuestions is how many names a device may have asked for within that
	// time: those of a browser that opens a window of tabs anew. Of more, the
	// oldest are forgotten.
	maxQuestions = 64
)

// questions is the names whose addresses one device asked for lately, 1 KiB.
// The oldest is overwritten.
type questions struct {
	ring [maxQuestions]question
	next uint8
}

type question struct {
	at   cordon.Time
	name uint32 // its hash; a guess is right once in 2³²/maxQuestions tries
}

// ask notes a question for addresses. A name that is asked for again, also for
// the addresses of the other IP version, takes no second place: a device mostly
// asks for both at once, so that a question which the capture has lost is rarely
// missed.
func (q *questions) ask(o *cordon.Observation) {
	if !wantsAddrs(o.DNSType) {
		return
	}
	name := hashName(o.Name)
	i := q.find(name)
	if i < 0 {
		i = int(q.next)
		q.next = (q.next + 1) % maxQuestions
	}
	q.ring[i] = question{o.At, name}
}

// asked reports whether an answer is to a question.
func (q *questions) asked(o *cordon.Observation) bool {
	i := q.find(hashName(o.Name))
	return i >= 0 && wantsAddrs(o.DNSType) && o.At.Sub(q.ring[i].at) <= answerWithin
}

// find returns where the question for a name is, −1 if there is none.
func (q *questions) find(name uint32) int {
	for i := range q.ring {
		if q.ring[i].name == name {
			return i
		}
	}
	return -1
}

// wantsAddrs reports whether a question of a type is for addresses.
func wantsAddrs(t uint16) bool { return t == dns.TypeA || t == dns.TypeAAAA }

// hashName is FNV-1a: the same in every run, as a result depends on it.
func hashName(name []byte) uint32 {
	h := uint32(2166136261)
	for _, c := range name {
		h = (h ^ uint32(c)) * 16777619
	}
	return h
}
