package source

import (
	"context"

	"github.com/assay-dev/assay/internal/registry"
)

// Slots bound how many verdicts and publications are at work at the same time:
// they cost CPU and disk, unlike waiting for a registry. Whoever has a slot asks
// nobody for anything, so that each comes free soon. A nil Slots bounds nothing.
type Slots struct{ taken chan struct{} }

// NewSlots makes n slots.
func NewSlots(n int) *Slots { return &Slots{make(chan struct{}, n)} }

// take waits for a slot until ctx ends. The caller gives it back.
func (s *Slots) take(ctx context.Context) (giveBack func(), err error) {
	if s == nil {
		return func() {}, nil
	}
	select {
	case s.taken <- struct{}{}:
		return func() { <-s.taken }, nil
	default:
	}
	select {
	case s.taken <- struct{}{}:
		return func() { <-s.taken }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// busy is a step that got no slot within the attempt's time.
func busy(step Step, cause error) *Error {
	return &Error{Step: step, Kind: Transient, Reason: string(registry.RegistryUnavailable), cause: cause,
		Message: "the controller did not come to it in time (--concurrent)"}
}
