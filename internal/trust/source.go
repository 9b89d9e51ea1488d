package trust

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/assay-dev/assay/internal/verify"
)

// origin is where a trusted root comes from: a TUF repository or a file. Only
// the refresh loop calls it.
type origin interface {
	// fetch returns a trusted_root.json, not parsed, and when it expires; the
	// zero time is never.
	fetch(ctx context.Context, now time.Time) (raw []byte, expires time.Time, err error)
	// String names it in messages.
	String() string
}

// Source is the controller's default trusted root.
type Source struct {
	origin   origin
	interval time.Duration // between refreshes that succeed
	timeout  time.Duration // of one refresh
	log      logr.Logger
	now      func() time.Time
	onChange func()
	newTimer func(time.Duration) (fired <-chan time.Time, stop func() bool)
	wanted   chan struct{} // holds one request for a refresh
	eager    bool          // whether Start refreshes before anybody needs it
	need     sync.Once     // closes needed
	needed   chan struct{}
	failures prometheus.Counter
	state    atomic.Pointer[state]

	// The refresh loop's own.
	failed int       // attempts in a row
	told   string    // hash of the root that OnChange was last called for
	asked  time.Time // when a refresh on demand is, or was last, due
}

// state is what is known of the root; it is replaced, never changed.
type state struct {
	root      *verify.TrustedRoot // nil: none yet
	expires   time.Time           // of the root's metadata; zero: never
	confirmed time.Time           // when the last refresh that succeeded began
	cause     Cause               // why root is nil
}

// unavailable is why the root cannot be used; empty when it can.
func (s *state) unavailable(now time.Time) Cause {
	switch {
	case s.root == nil:
		return s.cause
	case s.expired(now):
		return Expired
	}
	return ""
}

// expired follows the specification, by which metadata is good for as long as
// its expiration is after now; go-tuf allows that very instant, too.
func (s *state) expired(now time.Time) bool {
	return !s.expires.IsZero() && !s.expires.After(now)
}

// Snapshot returns the root in use now. It never waits. The error is an
// *UnavailableError; the first call has a mirror asked for the first time: who
// trusts keys alone makes no request.
func (s *Source) Snapshot() (*verify.TrustedRoot, error) {
	s.need.Do(func() { close(s.needed) })
	return s.inUse()
}

// Fetch refreshes the root now and returns it, for a program that runs once: a
// Source that is started is not fetched. Errors are of type *UnavailableError;
// the log is told the details.
func (s *Source) Fetch(ctx context.Context) (*verify.TrustedRoot, error) {
	if err := s.refresh(ctx); err != nil {
		s.log.Error(err, "fetching the trusted root failed", "origin", s.origin.String(), "cause", string(causeOf(err)))
		return nil, &UnavailableError{Origin: s.origin.String(), Cause: causeOf(err)}
	}
	return s.inUse()
}

func (s *Source) inUse() (*verify.TrustedRoot, error) {
	current := s.state.Load()
	if cause := current.unavailable(s.now()); cause != "" {
		return nil, &UnavailableError{Origin: s.origin.String(), Cause: cause}
	}
	return current.root, nil
}

// Refresh asks for a refresh soon: at once, or when the last one on demand is a
// minute old. It never blocks; requests that come together share one refresh.
func (s *Source) Refresh() {
	select {
	case s.wanted <- struct{}{}:
	default:
	}
}

// Start refreshes the root until ctx ends, and then returns nil. It is called
// once.
func (s *Source) Start(ctx context.Context) error {
	if !s.eager {
		select {
		case <-ctx.Done():
			return nil
		case <-s.needed:
		}
	}
	for ctx.Err() == nil {
		s.announce() // The pause may have ended because the root expired.
		s.wait(ctx, s.attempt(ctx))
	}
	return nil
}

// attempt refreshes the root once, and returns how long to wait after it.
func (s *Source) attempt(ctx context.Context) time.Duration {
	err := s.refresh(ctx)
	if ctx.Err() != nil {
		return 0 // The controller is about to end, which is no failure.
	}
	if err == nil {
		s.failed = 0
		s.announce()
		return s.pause()
	}
	s.failed++
	s.failures.Inc()
	s.noteCause(causeOf(err))
	s.announce() // The root may have expired meanwhile.
	pause := s.pause()
	s.log.Error(err, "refreshing the trusted root failed",
		"origin", s.origin.String(), "cause", string(causeOf(err)), "retryAfter", pause.String())
	return pause
}

// refresh puts the root that there is now in use.
func (s *Source) refresh(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	now := s.now()
	root, expires, err := s.load(ctx, now)
	if err != nil {
		return err
	}
	s.state.Store(&state{root: root, expires: expires, confirmed: now})
	return nil
}

// noteCause keeps the root that is in use.
func (s *Source) noteCause(c Cause) {
	next := *s.state.Load()
	next.cause = c
	s.state.Store(&next)
}

// load fetches and parses. The libraries that parse what a mirror answers have
// panicked on it before: as a last resort that is a failure like any other.
func (s *Source) load(ctx context.Context, now time.Time) (root *verify.TrustedRoot, expires time.Time, err error) {
	defer func() {
		if p := recover(); p != nil {
			root, err = nil, failed(Broken, "a library panicked: %s", describePanic(p))
		}
	}()
	raw, expires, err := s.origin.fetch(ctx, now)
	if err != nil {
		return nil, expires, err
	}
	root, err = verify.ParseTrustedRoot(raw)
	if err != nil {
		return nil, expires, failed(NoTrustedRoot, "%s: %v", trustedRootName, err)
	}
	return root, expires, nil
}

// describePanic repeats what the Go runtime says, which holds no content.
func describePanic(p any) string {
	if e, ok := p.(runtime.Error); ok {
		return e.Error()
	}
	return fmt.Sprintf("%T", p)
}

// announce tells of a root in use that is another one than was last told of.
func (s *Source) announce() {
	hash := ""
	root, err := s.inUse()
	if err == nil {
		hash = root.Hash()
	}
	if hash == s.told {
		return
	}
	s.told = hash
	if err != nil {
		s.log.Info("the trusted root is no longer in use", "reason", err.Error())
	} else {
		s.log.Info("another trusted root is in use", "origin", s.origin.String(), "hash", hash)
	}
	s.onChange()
}
