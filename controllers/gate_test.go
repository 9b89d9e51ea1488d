package controllers

import (
	"testing"
	"time"
)

func TestGate(t *testing.T) {
	const workers = 8
	enter := func(t *testing.T, g *gate, host string) int {
		t.Helper()
		n := 0
		for g.enter(host, workers) {
			if n++; n > workers {
				t.Fatal("expected an end")
			}
		}
		return n
	}
	t.Run("a host gets three quarters of the workers, whatever others have", func(t *testing.T) {
		var g gate
		if a, b := enter(t, &g, "a"), enter(t, &g, "b"); a != 6 || b != 6 {
			t.Errorf("expected 6 and 6, found %d and %d", a, b)
		}
	})
	t.Run("one worker is enough for one poll", func(t *testing.T) {
		var g gate
		if !g.enter("a", 1) || g.enter("a", 1) {
			t.Error("expected one poll")
		}
	})
	t.Run("a host that failed slowly gets one, until it answers", func(t *testing.T) {
		var g gate
		g.enter("a", workers)
		g.leave("a", slowPoll, true)
		if n := enter(t, &g, "a"); n != 1 {
			t.Errorf("expected 1, found %d", n)
		}
		g.leave("a", time.Millisecond, false)
		if n := enter(t, &g, "a"); n != 6 {
			t.Errorf("expected 6, found %d", n)
		}
	})
	t.Run("failing fast or answering slowly is no reason", func(t *testing.T) {
		var g gate
		g.enter("a", workers)
		g.leave("a", slowPoll-1, true)
		g.enter("a", workers)
		g.leave("a", time.Hour, false)
		if n := enter(t, &g, "a"); n != 6 {
			t.Errorf("expected 6, found %d", n)
		}
	})
	t.Run("nothing is remembered of hosts that work", func(t *testing.T) {
		var g gate
		g.enter("a", workers)
		g.leave("a", time.Millisecond, false)
		if len(g.hosts) != 0 {
			t.Errorf("expected no hosts, found %d", len(g.hosts))
		}
	})
}
