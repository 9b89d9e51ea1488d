package trust

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// hang answers a request when it is given up, or when the test ends.
func hang(t *testing.T, entered chan<- struct{}) func(http.ResponseWriter, *http.Request) bool {
	ended := make(chan struct{})
	t.Cleanup(func() { close(ended) })
	return func(_ http.ResponseWriter, r *http.Request) bool {
		select {
		case entered <- struct{}{}:
		default:
		}
		select {
		case <-r.Context().Done():
		case <-ended:
		}
		return true
	}
}

// While a mirror hangs, nobody else does, and the process can end.
func TestHangingMirror(t *testing.T) {
	c := newClock()
	m := newMirror(t, c.Now())
	entered := make(chan struct{}, 1)
	m.answer(hang(t, entered))
	r := run(t, c, m.options(), patient)
	<-entered
	r.wantUnavailable(m.origin(), NotFetched)
	r.Refresh()
	r.Refresh()
	r.stop()
	r.wantFailures(0, "")
	r.wantUnavailable(m.origin(), NotFetched)
}

// patient takes the limits of time away.
func patient(s *Source) {
	s.timeout, s.origin.(*repository).client.timeout = time.Hour, time.Hour
}

// A request has its time, and so has a refresh.
func TestTimeouts(t *testing.T) {
	tests := map[string]func(*Source){
		"request": func(s *Source) { s.origin.(*repository).client.timeout = 50 * time.Millisecond },
		"refresh": func(s *Source) { s.timeout = 50 * time.Millisecond },
	}
	for name, adjust := range tests {
		t.Run(name, func(t *testing.T) {
			c := newClock()
			m := newMirror(t, c.Now())
			m.answer(hang(t, nil))
			r := begin(t, c, m.options(), patient, adjust)
			r.wantFailures(1, Unreachable)
			r.wantUnavailable(m.origin(), Unreachable)
			if want := "2.root.json: no answer in time"; !strings.Contains(r.log.String(), want) {
				t.Errorf("expected %q in the log, found:\n%s", want, r.log)
			}
		})
	}
}

func TestDefaultTimeouts(t *testing.T) {
	s, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	if s.timeout != time.Minute || s.origin.(*repository).client.timeout != 20*time.Second {
		t.Errorf("expected 1m and 20s, found %s and %s", s.timeout, s.origin.(*repository).client.timeout)
	}
}

// Without a root, a mirror that cannot be reached is asked again after 2 s at
// most, then doubling up to a minute, until it can be.
func TestUnreachableAtStart(t *testing.T) {
	c := newClock()
	m := newMirror(t, c.Now())
	m.answer(hangUp)
	r := begin(t, c, m.options())
	for n, longest := range []time.Duration{2, 4, 8, 16, 32, 60, 60, 60} {
		r.wantPause(n, longest*time.Second)
		r.wantFailures(1, Unreachable)
		r.wantUnavailable(m.origin(), Unreachable)
		r.attempt()
	}
	m.answer(nil)
	r.attempt()
	r.wantRoot(oneRoot, 1)
	r.wantPause(-1, 24*time.Hour)
}

// wantPause compares a pause with the longest of its kind, which it may be
// shorter than by a quarter.
func (r *running) wantPause(n int, longest time.Duration) {
	r.t.Helper()
	if found := r.paused.length; found > longest || found < longest*3/4 {
		r.t.Errorf("pause %d: expected %s to %s, found %s", n, longest*3/4, longest, found)
	}
}

// A good root is kept while refreshes fail, until the first of its four
// metadata files expires, to the instant.
func TestKeptUntilItsMetadataExpires(t *testing.T) {
	for _, role := range roles {
		t.Run(role, func(t *testing.T) {
			c := newClock()
			m := newMirror(t, c.Now())
			good := m.expires[role]
			expires := c.Now().Add(5 * time.Hour)
			m.expires[role] = expires
			m.publishRoot()
			m.publish()
			r := begin(t, c, m.options())
			m.answer(status(http.StatusBadGateway))
			failures := 0
			for c.Now().Add(r.paused.length).Before(expires) {
				r.attempt()
				r.wantRoot(oneRoot, 1)
				r.wantFailures(1, Unreachable)
				failures++
			}
			c.advance(expires.Sub(c.Now()) - 1)
			r.paused.length = 1
			r.wantRoot(oneRoot, 1)
			r.attempt()
			r.wantUnavailable(m.origin(), Expired)
			r.wantFailures(1, Unreachable)
			if found := r.changed(); found != 2 {
				t.Errorf("expected to be told once of the expiry, found %d changes", found)
			}
			if r.paused.length > maxRetryWithoutRoot {
				t.Errorf("expected a pause of at most %s without a root, found %s", maxRetryWithoutRoot, r.paused.length)
			}
			r.attempt()
			r.wantUnavailable(m.origin(), Expired)
			if found := r.changed(); found != 2 {
				t.Errorf("expected to be told once of the expiry, found %d changes", found)
			}
			m.answer(nil)
			m.expires[role] = good
			m.publishRoot()
			m.publish()
			r.attempt()
			r.wantRoot(oneRoot, 3)
			if failures < 5 {
				t.Errorf("expected to fail more often in 5 hours than %d times", failures)
			}
		})
	}
}

// The expiry is told of at once, although the refresh that it sets off hangs.
func TestExpiryIsToldBeforeRefresh(t *testing.T) {
	c := newClock()
	m := newMirror(t, c.Now())
	m.expires[metadata.TIMESTAMP] = c.Now().Add(minLeft)
	m.publish()
	r := begin(t, c, m.options(), patient)
	r.wantRoot(oneRoot, 1)
	entered := make(chan struct{}, 1)
	m.answer(hang(t, entered))
	c.advance(minLeft)
	r.paused.fired <- c.Now()
	<-entered
	r.wantUnavailable(m.origin(), Expired)
	if found := r.changed(); found != 2 {
		t.Errorf("expected to be told of the expiry, found %d changes", found)
	}
	r.stop()
}

// A root that expires while a refresh is under way is told of when that failed.
func TestExpiryDuringRefresh(t *testing.T) {
	c := newClock()
	m := newMirror(t, c.Now())
	m.expires[metadata.TIMESTAMP] = c.Now().Add(7 * 24 * time.Hour)
	m.publish()
	r := begin(t, c, m.options())
	m.answer(func(w http.ResponseWriter, q *http.Request) bool {
		c.advance(7 * 24 * time.Hour)
		return status(http.StatusBadGateway)(w, q)
	})
	r.attempt()
	r.wantUnavailable(m.origin(), Expired)
	if found := r.changed(); found != 2 {
		t.Errorf("expected to be told of the expiry, found %d changes", found)
	}
	r.wantPause(0, minRetry)
}

// With a good root, the pauses after failures grow up to an hour.
func TestPausesWithRoot(t *testing.T) {
	c := newClock()
	m := newMirror(t, c.Now())
	r := begin(t, c, m.options())
	m.answer(status(http.StatusBadGateway))
	r.attempt()
	for n, longest := range []time.Duration{2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 3600, 3600} {
		r.wantPause(n, longest*time.Second)
		r.attempt()
	}
	m.answer(nil)
	r.attempt()
	r.wantPause(-1, 24*time.Hour)
}

// A timestamp that lives shorter than two days is refreshed half way.
func TestPauseBeforeExpiry(t *testing.T) {
	tests := map[string]struct{ left, want time.Duration }{
		"a week":       {7 * 24 * time.Hour, 24 * time.Hour},
		"a day":        {24 * time.Hour, 12 * time.Hour},
		"an hour":      {time.Hour, 30 * time.Minute},
		"a minute":     {80 * time.Second, time.Minute},
		"half of that": {30 * time.Second, 30 * time.Second},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := newClock()
			m := newMirror(t, c.Now())
			m.expires[metadata.TIMESTAMP] = c.Now().Add(tt.left)
			m.publish()
			r := begin(t, c, m.options())
			r.wantRoot(oneRoot, 1)
			r.wantPause(0, tt.want)
		})
	}
}

// Requests for a refresh share one, and one a minute is enough.
func TestRefreshOnDemand(t *testing.T) {
	c := newClock()
	m := newMirror(t, c.Now())
	r := begin(t, c, m.options())
	m.taken()
	r.demand()
	wantRequests(t, m, "2.root.json", "timestamp.json")
	c.advance(time.Second)
	for range 3 {
		r.Refresh()
		r.settle()
		if want := onDemandInterval - time.Second; r.paused.length != want {
			t.Errorf("expected to wait %s, found %s", want, r.paused.length)
		}
	}
	wantRequests(t, m)
	r.attempt()
	wantRequests(t, m, "2.root.json", "timestamp.json")
	r.wantPause(0, 24*time.Hour)
}

// Many who ask while a refresh is under way are answered by one after it.
func TestRefreshDuringRefresh(t *testing.T) {
	c := newClock()
	m := newMirror(t, c.Now())
	r := begin(t, c, m.options())
	entered, leave := make(chan struct{}), make(chan struct{})
	m.answer(only("timestamp.json", func(http.ResponseWriter, *http.Request) bool {
		entered <- struct{}{}
		<-leave
		return false
	}))
	m.taken()
	r.clock.advance(r.paused.length)
	r.paused.fired <- c.Now()
	<-entered
	for range 100 {
		r.Refresh()
	}
	leave <- struct{}{}
	r.settle()
	r.settle() // The request is taken up, and due at once.
	r.paused.fired <- c.Now()
	<-entered
	leave <- struct{}{}
	r.settle()
	wantRequests(t, m, "2.root.json", "timestamp.json", "2.root.json", "timestamp.json")
}

// The real clock's timer drives the loop.
func TestRealTimer(t *testing.T) {
	c := newClock()
	m := newMirror(t, c.Now())
	begun := make(chan struct{}, 10)
	m.answer(only(".root.json", func(http.ResponseWriter, *http.Request) bool {
		begun <- struct{}{}
		return false
	}))
	run(t, c, m.options(), func(s *Source) {
		s.newTimer = newTimer
		s.interval = time.Millisecond
	})
	for range 3 {
		<-begun
	}
}

// Of a panic that is not the runtime's, the text may be anybody's.
func TestDescribePanic(t *testing.T) {
	for want, value := range map[string]any{"string": "SECRET", "*errors.errorString": errors.New("SECRET")} {
		if found := describePanic(value); found != want {
			t.Errorf("expected %q, found %q", want, found)
		}
	}
}

// A mirror is not asked before somebody needs its root; a file is read at once,
// so that what is wrong with it is told at once.
func TestNobodyNeedsIt(t *testing.T) {
	lazily := func(s *Source) { s.eager = false }
	m := newMirror(t, newClock().Now())
	r := run(t, newClock(), m.options(), lazily)
	if _, err := r.Snapshot(); err == nil {
		t.Error("expected no root before the first fetch")
	}
	r.settle()
	if _, err := r.Snapshot(); err != nil {
		t.Errorf("expected a root once it is needed, found %v", err)
	}

	idle := newMirror(t, newClock().Now())
	r = run(t, newClock(), idle.options(), lazily)
	r.Refresh() // Nobody needs it, so there is nothing to refresh.
	r.stop()
	if asked := idle.taken(); len(asked) > 0 {
		t.Errorf("expected no request, found %v", asked)
	}

	for eager, o := range map[bool]Options{true: {File: "trusted_root.json"}, false: {}} {
		source, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		if source.eager != eager {
			t.Errorf("%+v: expected %t, found %t", o, eager, source.eager)
		}
	}
}
