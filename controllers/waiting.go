package controllers

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/assay-dev/assay/api/v1alpha1"
	"github.com/assay-dev/assay/internal/verify"
)

// waiting knows which ModuleSources wait for their registry, and were looked at
// but for that. Until something changes, each of them costs nothing but a
// question to the gate: no Secret is read, and nothing is judged.
type waiting struct {
	mu      sync.Mutex
	entries map[types.NamespacedName]waitingFor
	// told are those of whom an event said that they are to be looked at.
	told map[types.NamespacedName]bool
}

type waitingFor struct {
	host string
	// What was looked at.
	uid         types.UID
	generation  int64
	requestedAt string
	root        *verify.TrustedRoot // the controller's own
	// until is when it is looked at again, for what nobody tells of.
	until time.Time
}

// waits notes that a ModuleSource waits, and returns when to look again.
func (r *ModuleSourceReconciler) waits(obj *v1alpha1.ModuleSource, host string, delay time.Duration) time.Duration {
	w := waitingFor{
		host: host, uid: obj.UID, generation: obj.Generation, requestedAt: requestedAt(obj), root: r.defaultRoot(obj),
		until: r.Now().Add(intervalOf(obj)),
	}
	r.waiting.mu.Lock()
	defer r.waiting.mu.Unlock()
	if r.waiting.entries == nil {
		r.waiting.entries = map[types.NamespacedName]waitingFor{}
	}
	r.waiting.entries[client.ObjectKeyFromObject(obj)] = w
	return min(delay, intervalOf(obj))
}

// stillWaits says for how long a ModuleSource waits on that was looked at and
// has not changed; 0 where it is to be looked at.
func (r *ModuleSourceReconciler) stillWaits(obj *v1alpha1.ModuleSource) time.Duration {
	key := client.ObjectKeyFromObject(obj)
	r.waiting.mu.Lock()
	w, ok := r.waiting.entries[key]
	told := r.waiting.told[key]
	delete(r.waiting.told, key)
	r.waiting.mu.Unlock()
	if !ok || told {
		return 0
	}
	now := r.Now()
	same := w.uid == obj.UID && w.generation == obj.Generation && w.requestedAt == requestedAt(obj) && w.root == r.defaultRoot(obj)
	if same && now.Before(w.until) {
		if delay := r.gate.wait(w.host, now); delay > 0 {
			return max(min(delay, w.until.Sub(now)), leastWait)
		}
	}
	r.waiting.forget(key)
	return 0
}

// defaultRoot is the controller's own trusted root where it judges obj. To ask
// for it is to have it fetched.
func (r *ModuleSourceReconciler) defaultRoot(obj *v1alpha1.ModuleSource) *verify.TrustedRoot {
	if !usesDefaultRoot(obj) {
		return nil
	}
	root, _ := r.Trust.Snapshot()
	return root
}

func (w *waiting) forget(key types.NamespacedName) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.entries, key)
}

// tell notes that something changed that concerns a ModuleSource, which is
// looked at however long it waits. Who is at work on it already does not know
// that: the next look does.
func (w *waiting) tell(key types.NamespacedName) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.told == nil {
		w.told = map[types.NamespacedName]bool{}
	}
	w.told[key] = true
}

// drop forgets all of a ModuleSource that is gone.
func (w *waiting) drop(key types.NamespacedName) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.entries, key)
	delete(w.told, key)
}
