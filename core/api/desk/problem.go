package desk

import (
	"context"
	"errors"
	"strings"
	"time"

	"cordon"
	"cordon/core/api/live"
	"cordon/core/api/problem"
	"cordon/core/auth"
)

// Problem returns how an error of a handler, the store or auth is answered.
func Problem(err error) *problem.Problem {
	var p *problem.Problem
	var wait *auth.WaitError
	switch {
	case errors.As(err, &p):
		return p
	case errors.As(err, &wait):
		p = problem.Wrap(problem.TooMany, wait.Error(), err)
		p.After = wait.After
	case errors.Is(err, auth.ErrBusy):
		p = problem.Wrap(problem.Unavailable, "too many are logging in", err)
		p.After = 2 * time.Second
	case errors.Is(err, cordon.ErrInvalid):
		return problem.Wrap(problem.Invalid, plain(err), err)
	case errors.Is(err, cordon.ErrUnknown):
		return problem.Wrap(problem.Unsure, "", err)
	case errors.Is(err, context.DeadlineExceeded):
		return problem.Wrap(problem.Timeout, "", err)
	case errors.Is(err, cordon.ErrUnavailable):
		p = problem.Wrap(problem.Unavailable, "", err)
		p.After = 5 * time.Second
	default:
		for _, k := range []struct {
			is   error
			kind *problem.Kind
		}{
			{auth.ErrNobody, problem.Unauthorised}, {auth.ErrCredentials, problem.Credentials}, {auth.ErrStale, problem.Stale},
			{auth.ErrCrossOrigin, problem.CrossOrigin}, {auth.ErrForbidden, problem.Forbidden}, {cordon.ErrNotFound, problem.NotFound},
			{cordon.ErrConflict, problem.Conflict}, {ErrAway, problem.Away}, {live.ErrFull, problem.Streams},
		} {
			if errors.Is(err, k.is) {
				return problem.Wrap(k.kind, "", err)
			}
		}
		return problem.Wrap(problem.Internal, "", err)
	}
	return p
}

// plain is what an error that wraps ErrInvalid says to who asked.
func plain(err error) string {
	return strings.TrimSuffix(err.Error(), ": "+cordon.ErrInvalid.Error())
}

// Invalid is a problem with one part of the request.
func Invalid(location, message string) error {
	return problem.New(problem.Invalid, message).With(location, message)
}
