// Package pace plays a capture in the present: to an agent it looks like a home at
// which it just arrived. What comes in is any source of frames, such as a capture file;
// what goes out are the same frames with times of now, and moments at which nothing was
// seen. After the capture's end the home stays quiet.
package pace

import (
	"errors"
	"io"
	"time"

	"cordon/agent/packet"
)

// quiet is how long nothing is seen at most.
const quiet = 50 * time.Millisecond

// Frames is where the frames are from, oldest first.
type Frames interface {
	Next(*packet.Frame) error
}

// Source is a capture in the present. It is used by one goroutine.
type Source struct {
	frames Frames
	lead   time.Duration
	shift  int64 // from the capture's time to now, nanoseconds; valid once begun
	begun  bool
	over   bool
	next   packet.Frame
	held   bool // next is to be given
}

// New returns a Source that plays frames. What the capture has of its first lead is
// played at once, as if it had just happened.
func New(frames Frames, lead time.Duration) *Source { return &Source{frames: frames, lead: lead} }

// Next gives the next frame when its time has come, or the present moment.
func (s *Source) Next(f *packet.Frame) error {
	if !s.held && !s.over {
		switch err := s.frames.Next(&s.next); {
		case errors.Is(err, io.EOF):
			s.over = true
		case err != nil:
			return err
		default:
			s.held = true
			if !s.begun {
				s.begun = true
				s.shift = time.Now().Add(-s.lead).UnixNano() - s.next.Time
			}
			s.next.Time += s.shift
		}
	}
	now := time.Now()
	if s.held {
		wait := time.Duration(s.next.Time - now.UnixNano())
		if wait <= 0 {
			s.held = false
			*f = s.next
			return nil
		}
		time.Sleep(min(wait, quiet))
	} else {
		time.Sleep(quiet)
	}
	*f = packet.Frame{Time: time.Now().UnixNano()}
	if s.held && f.Time > s.next.Time { // the moment is not later than the frame
		f.Time = s.next.Time
	}
	return nil
}
