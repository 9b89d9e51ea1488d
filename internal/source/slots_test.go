package source

import (
	"context"
	"testing"

	"github.com/assay-dev/assay/internal/verify"
	"github.com/assay-dev/assay/test/module"
)

// Without a free slot nothing is judged or published until the attempt's time is
// over, and what that says is neither yes nor no. No request waits for a slot.
func TestSlotsAreWaitedFor(t *testing.T) {
	b := newBench(t)
	b.push("1.0.0", module.Options{Version: "1.0.0"}, true)
	b.syncer.Slots = NewSlots(1)
	giveBack, _ := b.syncer.Slots.take(nil)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	var o Outcome
	var err error
	go func() {
		defer close(ended)
		o, err = b.syncer.Sync(ctx, b.request("1.0.0", ""))
	}()
	for b.server.Counts()["GET referrers"] == 0 { // The signatures are being collected.
		select {
		case <-ended:
			t.Fatalf("expected it to wait, found %+v, %v", o, err)
		default:
		}
	}
	cancel()
	<-ended
	if e := asError(t, err); e.Kind != Transient {
		t.Errorf("expected a transient error, found %+v", e)
	}
	if !o.Verified.IsZero() || o.Published.Path != "" {
		t.Errorf("expected no verdict, found %+v", o)
	}

	giveBack()
	for range 3 { // Each slot is given back.
		if _, err := b.syncer.Sync(t.Context(), b.request("1.0.0", "")); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(b.syncer.Slots.taken); n != 0 {
		t.Errorf("expected all slots to be free, found %d taken", n)
	}
}

func TestSlots(t *testing.T) {
	s := NewSlots(2)
	first, _ := s.take(nil)
	second, _ := s.take(nil)
	done := make(chan struct{})
	close(done)
	if _, ok := s.take(done); ok {
		t.Error("expected no third slot, found one")
	}
	first()
	if _, ok := s.take(done); !ok { // One that is free needs no time.
		t.Error("expected a slot, found none")
	}
	second()
	if e := busy(StepVerify); e.Kind != Transient || e.Step != StepVerify {
		t.Errorf("found %+v", e)
	}
	if _, ok := (*Slots)(nil).take(done); !ok {
		t.Error("expected nothing to be bounded")
	}
}

// What is published is judged, however long that takes to begin.
func TestJudgeWaitsForItsSlot(t *testing.T) {
	b := newBench(t)
	b.syncer.Slots = NewSlots(1)
	giveBack, _ := b.syncer.Slots.take(nil)
	judged := make(chan error)
	go func() {
		_, err := b.syncer.Judge(t.Context(), verify.Policy{}, "sha256:00", nil)
		judged <- err
	}()
	select {
	case err := <-judged:
		t.Errorf("expected it to wait, found %v", err)
	default:
	}
	giveBack()
	if err := <-judged; err == nil {
		t.Error("expected a verdict")
	}
}
