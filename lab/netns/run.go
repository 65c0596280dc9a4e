package netns

import (
	"errors"
	"fmt"
	"runtime"
)

// Run gives a program what a test has: fn makes beds with the TB, what goes
// wrong in them is Run's error, and they are removed when fn is done.
func Run(fn func(TB) error) error {
	r := &run{}
	r.do(func() { r.err = errors.Join(r.err, fn(r)) })
	for i := len(r.cleanups) - 1; i >= 0; i-- {
		r.do(r.cleanups[i])
	}
	return r.err
}

// run is the TB of a program. It is used by one goroutine at a time.
type run struct {
	cleanups []func()
	err      error
}

// do runs fn on a goroutine of its own, which Fatalf and Skip end.
func (r *run) do(fn func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		fn()
	}()
	<-done
}

func (r *run) Helper() {}

func (r *run) Cleanup(fn func()) { r.cleanups = append(r.cleanups, fn) }

func (r *run) Fatalf(format string, args ...any) {
	r.err = errors.Join(r.err, fmt.Errorf(format, args...))
	runtime.Goexit()
}

func (r *run) Skip(args ...any) {
	r.err = errors.Join(r.err, errors.New(fmt.Sprint(args...)))
	runtime.Goexit()
}
