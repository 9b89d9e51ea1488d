package source

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/Masterminds/semver/v3"
	gocmp "github.com/google/go-cmp/cmp"

	"github.com/assay-dev/assay/internal/artifact"
	"github.com/assay-dev/assay/internal/registry"
	"github.com/assay-dev/assay/test/module"
)

// What was there before is held against a revision before anything else is asked
// for it, also where it is published already, and after the pin.
func TestReleasesAreAskedFirst(t *testing.T) {
	b := newBench(t)
	digest := b.push("1.0.0", module.Options{Version: "1.0.0"}, true)
	other := "sha256:" + strings.Repeat("ab", 32)
	published := registry.Revision{Version: "1.0.0", Digest: digest}
	moved, fell := Releases{Verified: map[string]string{"1.0.0": other}}, Releases{Published: semver.MustParse("1.0.1")}
	for name, tt := range map[string]struct {
		releases Releases
		current  registry.Revision
		pin      string
		reason   string
	}{
		"moved":                     {moved, registry.Revision{}, "", ReasonVersionMutated},
		"moved, and published":      {moved, published, "", ReasonVersionMutated},
		"fell":                      {fell, registry.Revision{}, "", ReasonVersionRollback},
		"fell, and published":       {fell, published, "", ReasonVersionRollback},
		"moved, of another pin too": {moved, published, other, ReasonDigestMismatch},
	} {
		t.Run(name, func(t *testing.T) {
			request := b.request("1.0.0", tt.pin)
			request.Releases, request.Current = tt.releases, tt.current
			b.server.Reset()
			o, err := b.syncer.Sync(t.Context(), request)
			if e := asError(t, err); e.Reason != tt.reason || e.Kind != Refused {
				t.Errorf("expected %s, found %+v", tt.reason, e)
			}
			if o.Unchanged || !o.Verified.IsZero() || o.Published != (artifact.Published{}) || o.Revision != published {
				t.Errorf("found %+v", o)
			}
			counts := b.server.Counts()
			delete(counts, "GET ping")
			if diff := gocmp.Diff(map[string]int{"HEAD manifests": 1}, counts); diff != "" {
				t.Errorf("expected nothing to be asked after it (-expected +found):\n%s", diff)
			}
		})
	}
}

// What is fetched is not published while others have all the slots.
func TestPublishingWaitsForItsSlot(t *testing.T) {
	b := newBench(t)
	b.push("1.0.0", module.Options{Version: "1.0.0"}, true)
	b.syncer.Slots = NewSlots(1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	b.syncer.Begin = atEnd(func(step Step, _ time.Duration, _ string) {
		if step == StepFetch {
			_, _ = b.syncer.Slots.take(nil)
			cancel()
		}
	})
	b.syncer.Now = time.Now
	o, err := b.syncer.Sync(ctx, b.request("1.0.0", ""))
	if e := asError(t, err); e.Step != StepPublish || e.Kind != Transient {
		t.Errorf("found %+v", e)
	}
	if o.Published != (artifact.Published{}) {
		t.Errorf("expected nothing to be published, found %+v", o.Published)
	}
}

// A slot that is free is taken, though the time is over: each time, not by luck.
func TestSlotThatIsFree(t *testing.T) {
	s, done := NewSlots(1), make(chan struct{})
	close(done)
	for range 64 {
		giveBack, ok := s.take(done)
		if !ok {
			t.Fatal("expected the free slot, found none")
		}
		giveBack()
	}
}
