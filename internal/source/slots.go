package source

import "github.com/assay-dev/assay/internal/registry"

// Slots bound how many verdicts and publications are at work at the same time:
// they cost CPU and disk, unlike waiting for a registry. Whoever has a slot asks
// nobody for anything, so that each comes free soon. A nil Slots bounds nothing.
type Slots struct{ taken chan struct{} }

// NewSlots makes n slots.
func NewSlots(n int) *Slots { return &Slots{make(chan struct{}, n)} }

// take waits for a slot until done is closed; a nil channel never is. The caller
// gives the slot back.
func (s *Slots) take(done <-chan struct{}) (giveBack func(), ok bool) {
	if s == nil {
		return func() {}, true
	}
	giveBack = func() { <-s.taken }
	select {
	case s.taken <- struct{}{}:
		return giveBack, true
	default:
	}
	select {
	case s.taken <- struct{}{}:
		return giveBack, true
	case <-done:
		return nil, false
	}
}

// busy is a step that got no slot within the attempt's time.
func busy(step Step) *Error {
	return &Error{Step: step, Kind: Transient, Reason: string(registry.RegistryUnavailable),
		Message: "the controller did not come to it in time (--concurrent)"}
}
