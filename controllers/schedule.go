package controllers

import (
	"fmt"
	"sync"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/assay-dev/assay/api/v1alpha1"
	"github.com/assay-dev/assay/internal/source"
)

const (
	// firstRetry is the delay after the first failure; it doubles with each
	// further one, up to the interval.
	firstRetry = 2 * time.Second
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
	nextPoll  time.Time
	selection string
	failures  int
}

// selectionOf names what a spec asks of the registry, to tell an edit that
// asks for something else from one that does not.
func selectionOf(spec *v1alpha1.ModuleSourceSpec) string {
	secret := ""
	if spec.SecretRef != nil {
		secret = spec.SecretRef.Name
	}
	return fmt.Sprintf("%q %q %q %q %q %t %q", spec.URL, spec.Version, spec.Tag, spec.Digest, spec.VersionFilter, spec.Insecure, secret)
}

// due reports whether the registry is to be asked now: because it is time,
// because something else is asked for, because a person asked for it, or
// because there is something that only the registry can tell.
func (s *schedule) due(obj *v1alpha1.ModuleSource, o outcome, now time.Time) bool {
	s.mu.Lock()
	e, known := s.entries[types.NamespacedName{Namespace: obj.Namespace, Name: obj.Name}]
	s.mu.Unlock()
	switch {
	case !known, e.selection != selectionOf(&obj.Spec), !now.Before(e.nextPoll.Add(-early)):
		return true
	case requestedAt(obj) != obj.Status.LastHandledReconcileAt:
		return true
	case o.withdrawn != nil, obj.Status.Artifact != nil && !o.inStorage:
		return true
	}
	return !verdictStands(&obj.Status, o)
}

// knows reports whether this process has looked at the object before.
func (s *schedule) knows(obj *v1alpha1.ModuleSource) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, known := s.entries[types.NamespacedName{Namespace: obj.Namespace, Name: obj.Name}]
	return known
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
	case o.err != nil && o.err.Kind == source.Transient:
		e.failures++
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
		e.selection = selectionOf(&obj.Spec)
	case obj.Spec.Suspend:
		e.selection = "" // When it is resumed it is due at once.
	}
	if s.entries == nil {
		s.entries = map[types.NamespacedName]entry{}
	}
	s.entries[key] = e
	return ctrl.Result{RequeueAfter: max(e.nextPoll.Sub(now), early)}
}

// longest is the interval with all of its jitter.
func longest(interval time.Duration) time.Duration {
	return interval + time.Duration(jitter*float64(interval))
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
