package controllers

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

const (
	// workers is how many ModuleSources are looked at at the same time. Nearly
	// all of them wait for a registry, which costs a goroutine and a connection;
	// what costs more has bounds of its own: see source.Slots and registry.Pool.
	workers = 512
	// most is how many of the workers those hosts may have together that have
	// not shown yet that they answer.
	most = workers * 3 / 4
	// slowPoll is how long a failed poll takes to count as one that blocks a
	// worker.
	slowPoll = 5 * time.Second
	// leastWait and longestWait bound how long a ModuleSource waits before it
	// tries a gate again that is closed by traffic.
	leastWait   = 10 * time.Millisecond
	longestWait = 10 * time.Second
	// maxHosts is how many hosts are remembered; beyond, those are forgotten
	// that nothing is known of but that they answered.
	maxHosts = 4096
)

// gate keeps registries apart, so that ModuleSources of one do not wait for
// another one that does not answer, and keeps each from being asked too much at
// once.
//
//   - A host gets one poll at a time until it has answered one, and again from a
//     poll that failed slowly until one is answered; beyond that, perHost.
//   - Hosts that get one poll at a time have most of the workers at the most, all
//     together. Beyond that number no host begins a second poll.
//   - A host that asked to be left alone (Retry-After) gets none until then.
//
// The zero value lets one poll through for each host.
type gate struct {
	perHost int

	mu       sync.Mutex
	hosts    map[string]*traffic
	polls    int // under way, of all hosts
	unproven int // of them, those of hosts that did not answer when they began
}

// traffic is what is known of a host in this process.
type traffic struct {
	polls   int           // under way
	answers bool          // the last poll to end was answered, well or fast
	last    time.Time     // when the last poll began
	recent  time.Duration // how long the last poll to end took
	// next is when the next one of those that wait may try again.
	next        time.Time
	closedUntil time.Time
}

// pass is one poll that was let through.
type pass struct {
	host     string
	began    time.Time
	unproven bool
}

// enter lets a poll of host begin, or says how long to wait before the next
// try. Where there is nothing to wait for, the caller calls leave with the pass
// at the poll's end.
func (g *gate) enter(host string, now time.Time) (pass, time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	t := g.of(host, now)
	if delay := g.closed(t, now); delay > 0 {
		return pass{}, delay
	}
	t.polls++
	t.last = now
	g.polls++
	p := pass{host: host, began: now, unproven: !t.answers}
	if p.unproven {
		g.unproven++
	}
	return p, 0
}

// wait says how long to wait before a poll of host is tried again; 0 where one
// may begin now.
func (g *gate) wait(host string, now time.Time) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.closed(g.of(host, now), now)
}

// closed is how long to wait for a host; 0 if a poll may begin.
func (g *gate) closed(t *traffic, now time.Time) time.Duration {
	if left := t.closedUntil.Sub(now); left > 0 {
		return wait.Jitter(left, min(jitter, float64(longestWait)/float64(left)))
	}
	limit := max(1, g.perHost)
	if !t.answers || g.polls >= most {
		limit = 1
	}
	switch {
	case t.polls >= limit:
		return t.queue(limit, now)
	case !t.answers && g.unproven >= most:
		return wait.Jitter(longestWait/2, 1)
	default:
		return 0
	}
}

// queue calls those who wait one after the other, as fast as polls ended of
// late; one that is under way for longer tells that it takes longer now.
func (t *traffic) queue(limit int, now time.Time) time.Duration {
	spacing := max(leastWait, max(t.recent, now.Sub(t.last))/time.Duration(limit))
	if t.next.Before(now) {
		t.next = now
	}
	if t.next = t.next.Add(spacing); t.next.Sub(now) > longestWait {
		t.next = now.Add(longestWait)
		return wait.Jitter(longestWait/2, 1)
	}
	return wait.Jitter(t.next.Sub(now), jitter)
}

// leave ends a poll, which failed or did not. RetryAfter is how long the
// registry asked to be left alone; 0 if it did not.
func (g *gate) leave(p pass, now time.Time, failed bool, retryAfter time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	t, took := g.of(p.host, now), now.Sub(p.began)
	t.polls--
	g.polls--
	if p.unproven {
		g.unproven--
	}
	t.answers = !failed || took < slowPoll
	t.recent = took
	if until := now.Add(retryAfter); retryAfter > 0 && until.After(t.closedUntil) {
		t.closedUntil = until
	}
}

// of is the traffic of a host.
func (g *gate) of(host string, now time.Time) *traffic {
	t := g.hosts[host]
	if t != nil {
		return t
	}
	if g.hosts == nil {
		g.hosts = map[string]*traffic{}
	}
	if len(g.hosts) >= maxHosts {
		g.forget(now)
	}
	t = &traffic{}
	g.hosts[host] = t
	return t
}

// forget makes room. What is under way and what is to be left alone stays.
func (g *gate) forget(now time.Time) {
	for host, t := range g.hosts {
		if t.polls == 0 && !now.Before(t.closedUntil) {
			delete(g.hosts, host)
		}
	}
}
