package trust

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/assay-dev/assay/internal/verify"
	"github.com/assay-dev/assay/test/fixtures"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must happen.
const patience = 30 * time.Second

// The trusted roots of the fixtures that are served.
const (
	oneRoot   = "trusted_root.json"
	otherRoot = "trusted_root_other_rekor.json" // the same with another key of Rekor
	thirdRoot = "trusted_root_other.json"
)

func rootJSON(t testing.TB, name string) []byte {
	t.Helper()
	raw, err := fixtures.File("trust/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func hashOf(t testing.TB, name string) string {
	t.Helper()
	root, err := verify.ParseTrustedRoot(rootJSON(t, name))
	if err != nil {
		t.Fatal(err)
	}
	return root.Hash()
}

// clock is set by hand.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// pause is the refresh loop between two attempts.
type pause struct {
	length time.Duration
	fired  chan time.Time
}

// running is a Source whose refresh loop runs in step with the test: it pauses
// after every attempt until the test ends the pause.
type running struct {
	*Source
	t      testing.TB
	clock  *clock
	pauses chan pause
	paused pause
	log    *logLines
	stop   func()

	mu      sync.Mutex
	changes int
}

// run starts a Source, after adjust has had it, and does not wait for it.
func run(t testing.TB, c *clock, o Options, adjust ...func(*Source)) *running {
	t.Helper()
	r := &running{t: t, clock: c, pauses: make(chan pause, 1000), log: &logLines{}}
	o.Now, o.Log, o.OnChange = c.Now, r.log.logger(), func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.changes++
	}
	source, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	r.Source = source
	source.eager = true // TestNobodyNeedsIt sees to the rest.
	source.newTimer = func(d time.Duration) (<-chan time.Time, func() bool) {
		p := pause{d, make(chan time.Time, 1)}
		r.pauses <- p
		return p.fired, func() bool { return true }
	}
	for _, f := range adjust {
		f(source)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- source.Start(ctx) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("expected Start to return nil, found %v", err)
			}
		case <-time.After(patience):
			t.Error("Start does not end with its context")
		}
	})
	t.Cleanup(r.stop)
	return r
}

// begin starts a Source, and waits for the end of its first attempt.
func begin(t testing.TB, c *clock, o Options, adjust ...func(*Source)) *running {
	t.Helper()
	r := run(t, c, o, adjust...)
	r.settle()
	return r
}

// settle waits until the refresh loop pauses.
func (r *running) settle() {
	r.t.Helper()
	select {
	case r.paused = <-r.pauses:
	case <-time.After(patience):
		r.t.Fatal("the refresh loop does not come to its pause")
	}
}

// attempt ends the pause, and waits for the end of the attempt after it.
func (r *running) attempt() {
	r.t.Helper()
	r.clock.advance(r.paused.length)
	r.paused.fired <- r.clock.Now()
	r.settle()
}

// demand asks for a refresh a minute later, and waits for the end of it.
func (r *running) demand() {
	r.t.Helper()
	r.clock.advance(onDemandInterval)
	r.Refresh()
	r.settle() // The pause that the request found.
	if r.paused.length <= 0 {
		r.paused.fired <- r.clock.Now()
		r.settle()
	}
}

func (r *running) changed() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.changes
}

// wantRoot compares the root in use, and how often it has changed.
func (r *running) wantRoot(name string, changes int) {
	r.t.Helper()
	root, err := r.Snapshot()
	if err != nil {
		r.t.Fatalf("expected %s, found %v; the log:\n%s", name, err, r.log)
	}
	if found, want := root.Hash(), hashOf(r.t, name); found != want {
		r.t.Errorf("expected %s with the hash %s, found %s; the log:\n%s", name, want, found, r.log)
	}
	if found := r.changed(); found != changes {
		r.t.Errorf("expected to be told of %d changes, found %d", changes, found)
	}
}

func (r *running) wantUnavailable(origin string, cause Cause) {
	r.t.Helper()
	root, err := r.Snapshot()
	if err == nil {
		r.t.Fatalf("expected no root, found %s", root.Hash())
	}
	var found *UnavailableError
	if !errors.As(err, &found) {
		r.t.Fatalf("expected an *UnavailableError, found %T: %v", err, err)
	}
	if diff := cmp.Diff(&UnavailableError{Origin: origin, Cause: cause}, found); diff != "" {
		r.t.Errorf("error (-expected +found):\n%s\nthe log:\n%s", diff, r.log)
	}
}

// wantFailures compares the lines of failures in the log, which are looked at
// once, and the last cause among them.
func (r *running) wantFailures(n int, last Cause) {
	r.t.Helper()
	lines := r.log.takeErrors()
	if len(lines) != n {
		r.t.Fatalf("expected %d failures in the log, found %d:\n%s", n, len(lines), r.log)
	}
	if want := fmt.Sprintf("%q=%q", "cause", last); n > 0 && !strings.Contains(lines[n-1], want) {
		r.t.Errorf("expected %s, found %s", want, lines[n-1])
	}
}

// logLines is a log.
type logLines struct {
	mu    sync.Mutex
	lines []string
	taken int
}

func (l *logLines) logger() logr.Logger {
	return funcr.New(func(_, line string) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.lines = append(l.lines, line)
	}, funcr.Options{})
}

func (l *logLines) takeErrors() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var found []string
	for _, line := range l.lines[l.taken:] {
		if strings.Contains(line, `"error"=`) {
			found = append(found, line)
		}
	}
	l.taken = len(l.lines)
	return found
}

func (l *logLines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.lines, "\n")
}
