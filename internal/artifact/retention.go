package artifact

import (
	"context"
	"errors"
	"time"
)

// collectInterval is how often Run collects: how long an archive may be served
// beyond its retention.
const collectInterval = 30 * time.Second

// Adopt says after a restart that the archive of that digest, as in
// [Published], is the current one of the owner. Another one that is not
// superseded is removed: another process replaced it, which may have withdrawn it
// before, or none ever reported it. Until Publish or Adopt has named an owner's
// current archive, nothing of the owner's is collected. An owner without a
// current archive wants [Store.Withdraw] instead. A digest or an owner that
// cannot be is ignored.
func (s *Store) Adopt(owner Owner, digest string) {
	hex, ok := hexOf(digest)
	if !ok || owner.validate() != nil {
		return
	}
	own, unlock := s.lock(owner)
	defer unlock()
	if own.current == hex {
		return
	}
	if own.current == "" {
		if err := s.removeNotSuperseded(owner, hex); err != nil {
			s.deny(owner, true)
			s.onError(err) // Collect tries again.
		}
	}
	own.current = hex
	if err := s.supersede(owner, hex); err != nil {
		s.onError(err) // Collect tries again.
	}
}

// removeNotSuperseded removes the owner's archives that look current and are not.
func (s *Store) removeNotSuperseded(owner Owner, current string) error {
	found, err := s.list(owner)
	errs := []error{err}
	for hex, marked := range found.archives {
		if hex != current && marked.Equal(notSuperseded) {
			errs = append(errs, s.removeArchive(owner, hex))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return storageFailed("removing archives that others replaced", err)
	}
	return nil
}

// supersede marks the owner's archives: current as not superseded, and the
// others as superseded now, unless they were already.
func (s *Store) supersede(owner Owner, current string) error {
	found, err := s.list(owner)
	if err != nil {
		return storageFailed("listing the archives", err)
	}
	var errs []error
	for hex, marked := range found.archives {
		switch {
		case hex == current && !marked.Equal(notSuperseded):
			errs = append(errs, s.mark(owner, hex, notSuperseded))
		case hex != current && marked.Equal(notSuperseded):
			errs = append(errs, s.mark(owner, hex, s.now()))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return storageFailed("marking the superseded archives", err)
	}
	return nil
}

func (s *Store) mark(owner Owner, hex string, at time.Time) error {
	return s.root.Chtimes(owner.archive(hex), time.Time{}, at)
}

// Collect removes the superseded archives whose retention has passed, of the
// owners whose current archive is known, and what stands beside no archive, and
// tries withdrawals again that did not succeed. It passes over owners that are at work. The error is an *Error of
// [ReasonStorageFailed]; the rest is collected all the same, and calling again
// tries again.
func (s *Store) Collect() error {
	s.mu.Lock()
	owners := make([]Owner, 0, len(s.owners))
	for owner := range s.owners {
		owners = append(owners, owner)
	}
	for owner := range s.denied {
		if s.owners[owner] == nil {
			owners = append(owners, owner)
		}
	}
	s.mu.Unlock()

	var errs []error
	for _, owner := range owners {
		errs = append(errs, s.collect(owner))
	}
	if err := errors.Join(errs...); err != nil {
		return storageFailed("collecting superseded archives", err)
	}
	return nil
}

func (s *Store) collect(owner Owner) error {
	own, unlock := s.tryLock(owner)
	if own == nil {
		return nil
	}
	defer unlock()
	if s.isDenied(owner) {
		return s.withdraw(own, owner)
	}
	if own.current == "" {
		return nil
	}
	// What could not be marked at the time is marked now.
	if err := s.supersede(owner, own.current); err != nil {
		return err
	}
	found, err := s.list(owner)
	if err != nil {
		return err
	}
	var errs []error
	for hex, since := range found.archives {
		if hex == own.current {
			continue
		}
		switch now := s.now(); {
		case since.After(now):
			// The clock was set back: do not wait until it is there again.
			errs = append(errs, s.mark(owner, hex, now))
		case now.Sub(since) >= s.retention:
			errs = append(errs, s.removeArchive(owner, hex))
		}
	}
	for _, stray := range found.strays {
		errs = append(errs, s.root.RemoveAll(stray))
	}
	return errors.Join(errs...)
}

// Run collects every 30 seconds until ctx ends, and returns nil. Errors go to
// Options.OnError.
func (s *Store) Run(ctx context.Context) error {
	ticker := time.NewTicker(collectInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			if err := s.Collect(); err != nil {
				s.onError(err)
			}
		}
	}
}
