package announce

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
)

// receiver notes what it is told.
type receiver struct {
	hang bool // until the context ends

	mu    sync.Mutex
	told  []string
	count map[result]int
	ended int
}

func (r *receiver) admit(t Transition) bool { return t.Reason != "refused" }

func (r *receiver) send(ctx context.Context, t Transition) result {
	if r.hang {
		<-ctx.Done()
		return failed
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.told = append(r.told, t.Reason)
	return sent
}

func (r *receiver) counts(found result) int { r.mu.Lock(); defer r.mu.Unlock(); return r.count[found] }

func (r *receiver) end() { r.ended++ }

type counting struct{ *receiver }

func (c counting) count(_ Transition, r result) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.receiver.count == nil {
		c.receiver.count = map[result]int{}
	}
	c.receiver.count[r]++
}

// What is told is told in order, until the end; who hangs delays nobody, and
// keeps no more than so much.
func TestTeller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		good, hanging := &receiver{}, &receiver{hang: true}
		teller := New(counting{good}, counting{hanging})
		begun := time.Now()
		var want []string
		for i := range 2 * maxQueued {
			reason := fmt.Sprint(i)
			want = append(want, reason)
			teller.Tell(Transition{Reason: reason})
			synctest.Wait()
		}
		teller.Tell(Transition{Reason: "refused"})
		if took := time.Since(begun); took > 0 {
			t.Errorf("telling took %s", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		teller.Close(ctx)
		if took := time.Since(begun); took != 5*time.Second {
			t.Errorf("expected the end after 5 s, found %s", took)
		}
		teller.Tell(Transition{Reason: "late"})
		teller.Close(ctx)
		if diff := cmp.Diff(want, good.told); diff != "" {
			t.Errorf("told (-expected +found):\n%s", diff)
		}
		if diff := cmp.Diff(map[result]int{sent: 2 * maxQueued, dropped: 2}, good.count); diff != "" {
			t.Errorf("good (-expected +found):\n%s", diff)
		}
		// One was under way.
		if diff := cmp.Diff(map[result]int{failed: 1, dropped: 2*maxQueued + 1}, hanging.count); diff != "" {
			t.Errorf("hanging (-expected +found):\n%s", diff)
		}
		if good.ended == 0 || hanging.ended == 0 {
			t.Error("expected both to give back what they hold")
		}
	})
}

func TestTellerWritesWhatIsQueuedAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{}
		teller := New(counting{r})
		for range 100 {
			teller.Tell(Transition{Reason: "x"})
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if teller.Close(ctx); r.counts(sent) != 100 {
			t.Errorf("expected 100, found %d", r.counts(sent))
		}
	})
}

var about = corev1.ObjectReference{APIVersion: "source.assay.dev/v1alpha1", Kind: "ModuleSource", Namespace: "apps", Name: "app", UID: "u-1", ResourceVersion: "42"}
