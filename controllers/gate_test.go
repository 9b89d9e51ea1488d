package controllers

import (
	"fmt"
	"testing"
	"time"
)

// entered lets polls of host begin until the gate closes.
func entered(t *testing.T, g *gate, host string, now time.Time) []pass {
	t.Helper()
	var all []pass
	for {
		p, delay := g.enter(host, now)
		if delay > 0 {
			return all
		}
		if all = append(all, p); len(all) > workers {
			t.Fatal("expected an end")
		}
	}
}

// answered is a gate of which these hosts are known to answer.
func answered(t *testing.T, hosts ...string) *gate {
	t.Helper()
	g := &gate{perHost: 8}
	for _, host := range hosts {
		p, delay := g.enter(host, noon)
		if delay > 0 {
			t.Fatalf("%s: expected a poll, found one to wait for %s", host, delay)
		}
		g.leave(p, noon.Add(time.Millisecond), false, 0)
	}
	return g
}

func wantPolls(t *testing.T, what string, found []pass, want int) {
	t.Helper()
	if len(found) != want {
		t.Errorf("%s: expected %d polls, found %d", what, want, len(found))
	}
}

func TestGateHosts(t *testing.T) {
	g := answered(t, "a", "b")
	wantPolls(t, "a host that answered", entered(t, g, "a", noon), 8)
	wantPolls(t, "another one", entered(t, g, "b", noon), 8)
	wantPolls(t, "a host that nothing is known of", entered(t, g, "c", noon), 1)
	wantPolls(t, "with one poll for each", entered(t, &gate{}, "a", noon), 1)
}

// A poll counts against its host if it was slow and ended in an error, whatever
// error: one that is refused after a minute held a worker for a minute.
func TestGateSlowHosts(t *testing.T) {
	tests := map[string]struct {
		took   time.Duration
		failed bool
		want   int
	}{
		"failed slowly":   {slowPoll, true, 1},
		"failed fast":     {slowPoll - 1, true, 8},
		"answered slowly": {time.Hour, false, 8},
		"answered fast":   {time.Millisecond, false, 8},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			for what, g := range map[string]*gate{"new": {perHost: 8}, "known": answered(t, "a")} {
				p, _ := g.enter("a", noon)
				g.leave(p, noon.Add(tt.took), tt.failed, 0)
				wantPolls(t, what, entered(t, g, "a", noon.Add(tt.took)), tt.want)
			}
		})
	}
	g := answered(t, "a")
	p, _ := g.enter("a", noon)
	g.leave(p, noon.Add(time.Minute), true, 0)
	p, _ = g.enter("a", noon)
	g.leave(p, noon.Add(time.Second), false, 0)
	wantPolls(t, "after it answered again", entered(t, g, "a", noon), 8)
}

// However many hosts hang, those that answer find a worker.
func TestGateManyHosts(t *testing.T) {
	g := answered(t, "good")
	n := 0
	for i := range 2 * workers {
		n += len(entered(t, g, fmt.Sprintf("hanging-%d", i), noon))
	}
	if n != most {
		t.Errorf("expected hosts that did not answer to have %d polls, found %d", most, n)
	}
	wantPolls(t, "a host that answers", entered(t, g, "good", noon), 1)

	// Hosts that answered once and hang now begin with eight each, until most
	// of the workers are taken.
	var known []string
	for i := range workers {
		known = append(known, fmt.Sprintf("known-%d", i))
	}
	g = answered(t, known...)
	n = 0
	for _, host := range known[:100] {
		n += len(entered(t, g, host, noon))
	}
	if want := most + 100 - most/8; n != want {
		t.Errorf("expected %d polls of 100 hosts, found %d", want, n)
	}
	wantPolls(t, "one more", entered(t, g, known[100], noon), 1)
}

// Each poll that ends makes room for one.
func TestGateLeave(t *testing.T) {
	g := &gate{perHost: 8}
	var all []pass
	for i := range most {
		all = append(all, entered(t, g, fmt.Sprint(i), noon)...)
	}
	wantPolls(t, "while all wait", entered(t, g, "new", noon), 0)
	g.leave(all[0], noon.Add(time.Minute), true, 0)
	wantPolls(t, "after one ended", entered(t, g, "new", noon), 1)
	wantPolls(t, "again", entered(t, g, "another", noon), 0)
	for _, p := range all[1:] {
		g.leave(p, noon.Add(time.Minute), false, 0)
	}
	if g.unproven != 1 || g.polls != 1 {
		t.Errorf("expected one poll under way, found %d, and %d of hosts that did not answer", g.polls, g.unproven)
	}
}

func TestGateRetryAfter(t *testing.T) {
	g := answered(t, "a", "b")
	first, _ := g.enter("a", noon)
	second, _ := g.enter("a", noon)
	g.leave(first, noon, true, time.Minute)
	g.leave(second, noon, false, 0) // A success does not shorten it,
	third, delay := g.enter("b", noon)
	if delay > 0 {
		t.Errorf("another host: expected no wait, found %s", delay)
	}
	g.leave(third, noon, false, 0)
	for _, after := range []time.Duration{0, 30 * time.Second, time.Minute - 1} {
		left := time.Minute - after
		within(t, fmt.Sprint("to be left alone, after ", after), g.wait("a", noon.Add(after)), left, left*11/10)
		if _, delay := g.enter("a", noon.Add(after)); delay < left {
			t.Errorf("after %s: expected to wait for %s, found %s", after, left, delay)
		}
	}
	wantPolls(t, "then", entered(t, g, "a", noon.Add(time.Minute)), 8)

	// nor does one that asks for less.
	g = answered(t, "a")
	first, _ = g.enter("a", noon)
	second, _ = g.enter("a", noon)
	g.leave(first, noon, true, time.Hour)
	g.leave(second, noon, true, time.Second)
	within(t, "two of them", g.wait("a", noon.Add(time.Minute)), 59*time.Minute, 60*time.Minute)
}

// Those who wait come back one after the other, as fast as polls end, and not
// all the time.
func TestGateSpacing(t *testing.T) {
	const many = 10_000
	tests := map[string]struct {
		took          time.Duration
		min, max      time.Duration // of the hundredth that waits
		withinASecond int           // at most, of all
	}{
		"fast": {20 * time.Millisecond, time.Second, 1100 * time.Millisecond, 101},
		"slow": {4 * time.Second, longestWait / 2, longestWait, 2},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			g := &gate{perHost: 8}
			p, _ := g.enter("a", noon)
			g.leave(p, noon.Add(tt.took), false, 0)
			now := noon.Add(tt.took)
			entered(t, g, "a", now)
			soon := 0
			for i := range many {
				delay := g.wait("a", now)
				if i == 99-1 { // entered asked once.
					within(t, "the hundredth", delay, tt.min, tt.max)
				}
				if delay <= time.Second {
					soon++
				}
				within(t, "any", delay, leastWait, longestWait*11/10)
			}
			if soon > tt.withinASecond {
				t.Errorf("expected at most %d to come back within a second, found %d", tt.withinASecond, soon)
			}
		})
	}
	// Of a host whose first poll does not end, each waits longer than before.
	g := &gate{perHost: 8}
	entered(t, g, "a", noon)
	within(t, "a poll of five seconds", g.wait("a", noon.Add(5*time.Second)), 5*time.Second, 5500*time.Millisecond)
}

// Of hosts that come and go, not more is kept than is needed.
func TestGateForgets(t *testing.T) {
	g := &gate{perHost: 8}
	busy, _ := g.enter("busy", noon)
	closed, _ := g.enter("closed", noon)
	g.leave(closed, noon, true, time.Hour)
	for i := range 3 * maxHosts {
		p, _ := g.enter(fmt.Sprint(i), noon)
		g.leave(p, noon, false, 0)
	}
	if n := len(g.hosts); n > maxHosts {
		t.Errorf("expected at most %d hosts, found %d", maxHosts, n)
	}
	if g.wait("closed", noon) < time.Hour || g.wait("busy", noon) == 0 {
		t.Error("expected what is under way and what is to be left alone to be kept")
	}
	g.leave(busy, noon, false, 0)
}
