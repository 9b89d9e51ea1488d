package trust

import (
	"context"
	"math/rand/v2"
	"time"
)

const (
	// mirrorInterval is short against the life of Sigstore's timestamps, a week.
	mirrorInterval = 24 * time.Hour
	// fileInterval is how often a file is read; the kubelet takes about as long
	// to bring a ConfigMap's change to it.
	fileInterval = time.Minute
	// onDemandInterval lies between refreshes on demand: what asks for them may
	// be anybody's artifact.
	onDemandInterval = time.Minute

	minRetry            = 2 * time.Second
	maxRetryWithoutRoot = time.Minute
	maxRetryWithRoot    = time.Hour
	// minLeft is the shortest pause that is chosen because metadata is about to
	// expire.
	minLeft = time.Minute
)

// newTimer is the real clock's.
func newTimer(d time.Duration) (<-chan time.Time, func() bool) {
	t := time.NewTimer(d)
	return t.C, t.Stop
}

// pause is how long to wait after an attempt. It ends at the latest when the
// root in use expires.
func (s *Source) pause() time.Duration {
	now, current := s.now(), s.state.Load()
	usable := current.unavailable(now) == ""
	expires := usable && !current.expires.IsZero()
	left := current.expires.Sub(now)

	pause := s.interval
	switch {
	case s.failed > 0 && usable:
		pause = min(backoff(s.failed, maxRetryWithRoot), s.interval)
	case s.failed > 0:
		pause = backoff(s.failed, maxRetryWithoutRoot)
	case expires:
		// A repository may sign a timestamp a day: half way leaves time to try
		// again.
		pause = min(s.interval, max(left/2, minLeft))
	}
	pause = spread(pause)
	if expires {
		pause = min(pause, left)
	}
	return pause
}

// backoff doubles from minRetry up to limit.
func backoff(failures int, limit time.Duration) time.Duration {
	d := minRetry
	for n := 1; n < failures && d < limit; n++ {
		d *= 2
	}
	return min(d, limit)
}

// spread shortens a pause by up to a quarter, so that controllers that began
// together do not stay together.
func spread(d time.Duration) time.Duration { return d - rand.N(d/4+1) }

// wait returns after the pause, or earlier for a refresh on demand, or when ctx
// ends.
func (s *Source) wait(ctx context.Context, pause time.Duration) {
	due := s.now().Add(pause)
	for {
		fired, stop := s.newTimer(due.Sub(s.now()))
		select {
		case <-ctx.Done():
			stop()
			return
		case <-fired:
			return
		case <-s.wanted:
			stop()
			due = s.onDemand(due)
		}
	}
}

// onDemand moves what is due to the earliest time at which a refresh on demand
// is allowed, unless it is due before that anyway.
func (s *Source) onDemand(due time.Time) time.Time {
	at := s.now()
	if earliest := s.asked.Add(onDemandInterval); at.Before(earliest) {
		at = earliest
	}
	if !at.Before(due) {
		return due
	}
	s.asked = at
	return at
}
