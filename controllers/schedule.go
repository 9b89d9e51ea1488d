package controllers

import (
	"fmt"
	"sync"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/handler"

	"github.com/assay-dev/assay/api/v1alpha1"
	"github.com/assay-dev/assay/internal/source"
)

const (
	// firstRetry is the delay after the first failure; it doubles with each
	// further one, up to the interval.
	firstRetry = 2 * time.Second
	// awaitRetry bounds that delay while a signature is awaited.
	awaitRetry = 10 * time.Second
	// jitter spreads polls, so that sources that were made together do not
	// poll together for ever.
	jitter = 0.1
	// rootWait is how long a ModuleSource waits for the first fetch of the
	// trusted root, before it looks again.
	rootWait = time.Second
	// longestRootWait is how long it does so in all.
	longestRootWait = 90 * time.Second
	// early is how much before its time a poll may come: timers are not exact.
	early = 100 * time.Millisecond
)

// schedule knows when each ModuleSource is to be polled next. It is lost with
// the process, after which everything is polled once.
type schedule struct {
	mu      sync.Mutex
	entries map[types.NamespacedName]entry
}

type entry struct {
	nextPoll   time.Time
	selection  string
	failures   int
	generation int64 // of the spec that failed
	leftAlone  bool  // the registry said when to retry
	// written is the resource version of the last status that was written.
	written string
}

// selectionOf names what a spec asks of the registry, and as whom, to tell an
// edit that asks for something else from one that does not.
func selectionOf(obj *v1alpha1.ModuleSource, o outcome) string {
	spec := &obj.Spec
	immutable := spec.ImmutableVersions == nil || *spec.ImmutableVersions
	return fmt.Sprintf("%q %q %q %q %q %t %q %t %t %q", spec.URL, spec.Version, spec.Tag, spec.Digest, spec.VersionFilter, spec.Insecure,
		o.credentials, immutable, spec.AllowDowngrade, obj.Annotations[v1alpha1.AcceptDigestAnnotation])
}

// due reports whether the registry is to be asked now: because it is time,
// because something else is asked for, because a person asked for it, or
// because there is something that only the registry can tell.
func (s *schedule) due(obj *v1alpha1.ModuleSource, o outcome, now time.Time) bool {
	s.mu.Lock()
	e, known := s.entries[types.NamespacedName{Namespace: obj.Namespace, Name: obj.Name}]
	s.mu.Unlock()
	switch {
	case !known, e.selection != selectionOf(obj, o), !now.Before(e.nextPoll.Add(-early)):
		return true
	case requestedAt(obj) != obj.Status.LastHandledReconcileAt:
		return true
	case e.failures > 0 && e.generation != obj.Generation && !e.leftAlone:
		// Whatever was edited, it may be what helps.
		return true
	case o.withdrawn != nil, obj.Status.Artifact != nil && (!o.inStorage || o.unkept):
		return true
	}
	return !verdictStands(&obj.Status, o)
}

// verdictStands reports whether the verdict on the observed revision was
// reached under the policy of now, in the past or by judging again.
func verdictStands(status *v1alpha1.ModuleSourceStatus, o outcome) bool {
	if status.Observed == nil || o.policyHash == "" {
		return false
	}
	if status.Observed.PolicyHash == o.policyHash {
		return true
	}
	return !o.rejudged.IsZero() && status.Artifact.HasRevision(status.Observed.Revision)
}

func requestedAt(obj *v1alpha1.ModuleSource) string {
	token, _ := meta.ReconcileAnnotationValue(obj.Annotations)
	return token
}

// next notes the outcome and says when to look again.
func (s *schedule) next(obj *v1alpha1.ModuleSource, o outcome, now time.Time) ctrl.Result {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := types.NamespacedName{Namespace: obj.Namespace, Name: obj.Name}
	e := s.entries[key]
	switch {
	case !o.awaitingUntil.IsZero():
		e.failures++
		e.nextPoll = now.Add(awaitIn(e.failures, o.awaitingUntil.Sub(now)))
	case o.err != nil && o.err.Kind == source.Transient:
		if e.generation != obj.Generation {
			e.failures = 0
		}
		e.failures++
		e.generation, e.leftAlone = obj.Generation, o.err.RetryAfter > 0
		e.nextPoll = now.Add(retryIn(obj, e.failures, o.err.RetryAfter))
	case o.polled || o.err != nil || !now.Before(e.nextPoll):
		e.failures = 0
		e.nextPoll = now.Add(wait.Jitter(intervalOf(obj), jitter))
	case e.failures == 0 && e.nextPoll.Sub(now) > longest(intervalOf(obj)):
		// The interval was made shorter.
		e.nextPoll = now.Add(wait.Jitter(intervalOf(obj), jitter))
	}
	switch {
	case o.polled:
		e.selection = selectionOf(obj, o)
	case obj.Spec.Suspend:
		e.selection = "" // When it is resumed it is due at once.
	}
	if s.entries == nil {
		s.entries = map[types.NamespacedName]entry{}
	}
	s.entries[key] = e
	look := e.nextPoll
	if !o.goneUntil.IsZero() && o.goneUntil.Before(look) {
		look = o.goneUntil
	}
	return ctrl.Result{RequeueAfter: max(look.Sub(now), early), Priority: ptr.To(handler.LowPriority)}
}

// longest is the interval with all of its jitter.
func longest(interval time.Duration) time.Duration {
	return interval + time.Duration(jitter*float64(interval))
}

// wrote notes the resource version of a status that was written.
func (s *schedule) wrote(obj *v1alpha1.ModuleSource) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := types.NamespacedName{Namespace: obj.Namespace, Name: obj.Name}
	if s.entries == nil {
		s.entries = map[types.NamespacedName]entry{}
	}
	e := s.entries[key]
	e.written = obj.ResourceVersion
	s.entries[key] = e
}

// isStale reports whether an object is older than what this process wrote: the
// cache has not seen it yet, and a decision must not forget what it says.
func (s *schedule) isStale(obj *v1alpha1.ModuleSource) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	written := s.entries[types.NamespacedName{Namespace: obj.Namespace, Name: obj.Name}].written
	if written == "" {
		return false
	}
	order, err := resourceversion.CompareResourceVersion(obj.ResourceVersion, written)
	return err != nil || order < 0
}

// hold keeps due what was due and had to wait, and how often it failed.
func (s *schedule) hold(key types.NamespacedName) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e, known := s.entries[key]; known {
		e.nextPoll = time.Time{}
		s.entries[key] = e
	}
}

func (s *schedule) forget(key types.NamespacedName) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.entries, key)
}

func intervalOf(obj *v1alpha1.ModuleSource) time.Duration {
	if i := obj.Spec.Interval.Duration; i > 0 {
		return i
	}
	return v1alpha1.DefaultInterval
}

// retryIn doubles with every failure up to the interval, and never comes
// before the registry asked for it.
func retryIn(obj *v1alpha1.ModuleSource, failures int, retryAfter time.Duration) time.Duration {
	delay := firstRetry << min(failures-1, 16)
	return max(wait.Jitter(min(delay, intervalOf(obj)), jitter), retryAfter)
}

// awaitIn is when to look for a signature again: soon, and when its time has
// passed.
func awaitIn(failures int, left time.Duration) time.Duration {
	delay := wait.Jitter(min(firstRetry<<min(failures-1, 16), awaitRetry), jitter)
	return max(min(delay, left), early)
}
