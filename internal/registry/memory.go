package registry

import (
	"context"
	"io"
	"sync"

	"k8s.io/utils/lru"
)

// However many registries answer at the same time, and whatever: what an attempt
// holds of their answers in memory is small, or one of a few is large. Layers go
// to files, and need none of it.
const (
	// smallBytes is what every attempt may hold. The signatures of a digest, or
	// a page of a thousand tags, are within it by far.
	smallBytes = 64 << 10
	// largeAttempts is how many may hold more at the same time, within the
	// bounds of each kind of answer. One host has one of them at the most.
	largeAttempts = 3
	// suspectAttempts is how many of those go to hosts that held one last time
	// until their attempt failed.
	suspectAttempts = 1
	maxSuspects     = 4096
)

// largeBodies gives leave to hold much in memory.
type largeBodies struct {
	mu       sync.Mutex
	holders  map[string]bool // by host; true for a suspect
	suspects *lru.Cache      // hosts
	changed  chan struct{}   // closed when a holder ends
	most     int             // that were held at the same time
}

func newLargeBodies() *largeBodies {
	return &largeBodies{holders: map[string]bool{}, suspects: lru.New(maxSuspects), changed: make(chan struct{})}
}

// take waits until host may hold much, or ctx ends.
func (l *largeBodies) take(ctx context.Context, host string) error {
	for {
		changed := l.tryTake(host)
		if changed == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
	}
}

// tryTake returns nil where host may hold much from now on, and otherwise what
// is closed when that may have changed.
func (l *largeBodies) tryTake(host string) <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, holds := l.holders[host]
	_, suspect := l.suspects.Get(host)
	suspects := 0
	for _, s := range l.holders {
		if s {
			suspects++
		}
	}
	if holds || len(l.holders) >= largeAttempts || (suspect && suspects >= suspectAttempts) {
		return l.changed
	}
	l.holders[host] = suspect
	l.most = max(l.most, len(l.holders))
	return nil
}

// giveBack ends what take began, with an attempt that failed or did not.
func (l *largeBodies) giveBack(host string, failed bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.holders, host)
	if failed {
		l.suspects.Add(host, nil)
	} else {
		l.suspects.Remove(host)
	}
	close(l.changed)
	l.changed = make(chan struct{})
}

// hold counts bytes that this attempt keeps in memory from now on.
func (c *Client) hold(ctx context.Context, n int64) error {
	if c.held += n; c.held <= smallBytes || c.large {
		return nil
	}
	if err := c.pool.large.take(ctx, c.repo.Host()); err != nil {
		return errorf(RegistryUnavailable, "%s: the controller had no room in time for answers of more than %d bytes", c.repo, smallBytes)
	}
	c.large = true
	return nil
}

// drop says that so many of them are not needed any more.
func (c *Client) drop(n int) {
	if c.held -= int64(n); c.held <= smallBytes {
		c.Close()
	}
}

// Close ends an attempt: what it held is not in memory any more.
func (c *Client) Close() {
	if c.large {
		c.large = false
		c.pool.large.giveBack(c.repo.Host(), c.failed)
	}
}

// held counts what is read through it.
type held struct {
	ctx context.Context
	c   *Client
	r   io.Reader
}

func (h held) Read(b []byte) (int, error) {
	n, err := h.r.Read(b)
	if tooMuch := h.c.hold(h.ctx, int64(n)); tooMuch != nil {
		return n, tooMuch
	}
	return n, err
}
