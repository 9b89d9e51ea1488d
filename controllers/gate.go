package controllers

import (
	"sync"
	"time"
)

const (
	// slowPoll is how long a failed poll takes to count as one that blocks a
	// worker.
	slowPoll = 5 * time.Second
	// gateWait is how long a ModuleSource waits before it tries a gate again,
	// spread by as much again.
	gateWait = 5 * time.Second
)

// gate keeps a registry that does not answer from taking all workers, so that
// ModuleSources of other registries do not wait for it: no host gets more than
// three quarters of them, and one whose last poll failed slowly gets one until
// a poll answers again.
type gate struct {
	mu    sync.Mutex
	hosts map[string]*traffic
}

type traffic struct {
	polls int  // under way
	slow  bool // the last one to end failed slowly
}

// enter reports whether a poll of host may begin, with so many workers in all.
// Where it may, the caller calls leave at its end.
func (g *gate) enter(host string, workers int) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	t := g.hosts[host]
	if t == nil {
		t = &traffic{}
		if g.hosts == nil {
			g.hosts = map[string]*traffic{}
		}
		g.hosts[host] = t
	}
	most := max(1, workers*3/4)
	if t.slow {
		most = 1
	}
	if t.polls >= most {
		return false
	}
	t.polls++
	return true
}

// leave ends a poll that took so long and failed, or did not.
func (g *gate) leave(host string, took time.Duration, failed bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	t := g.hosts[host]
	t.polls--
	t.slow = failed && took >= slowPoll
	if t.polls == 0 && !t.slow {
		delete(g.hosts, host)
	}
}
