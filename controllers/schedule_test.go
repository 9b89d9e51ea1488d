package controllers

import (
	"testing"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"k8s.io/utils/ptr"

	"github.com/assay-dev/assay/api/v1alpha1"
	"github.com/assay-dev/assay/internal/source"
)

var noon = time.Date(2026, time.January, 1, 12, 0, 0, 0, time.UTC)

const (
	policyHash  = "sha256:aaaa"
	otherPolicy = "sha256:bbbb"
)

// sourceOf is a ModuleSource whose observed revision is published under
// policyHash.
func sourceOf(edit func(*v1alpha1.ModuleSource)) *v1alpha1.ModuleSource {
	obj := &v1alpha1.ModuleSource{
		ObjectMeta: metav1.ObjectMeta{Namespace: "apps", Name: "app", Generation: 3},
		Spec: v1alpha1.ModuleSourceSpec{
			URL: "oci://registry.example.com/app", Version: "1.x", Interval: metav1.Duration{Duration: 5 * time.Minute},
		},
		Status: statusOf(published),
	}
	if edit != nil {
		edit(obj)
	}
	return obj
}

// good is the outcome of a look at sourceOf that finds everything as it was.
func good(polled bool) outcome {
	return outcome{policyHash: policyHash, inStorage: true, polled: polled}
}

func failing(reason string, retryAfter time.Duration) outcome {
	o := good(true)
	o.err = &source.Error{Step: source.StepResolve, Kind: source.Transient, Reason: reason, Message: "no", RetryAfter: retryAfter}
	return o
}

func within(t *testing.T, what string, found, from, to time.Duration) {
	t.Helper()
	if found < from || found > to {
		t.Errorf("%s: expected %s to %s, found %s", what, from, to, found)
	}
}

// Polls come at the interval, up to a tenth later.
func TestScheduleInterval(t *testing.T) {
	spread := map[time.Duration]bool{}
	for range 50 {
		s := &schedule{}
		found := s.next(sourceOf(nil), good(true), noon).RequeueAfter
		within(t, "after a poll", found, 5*time.Minute, 5*time.Minute+30*time.Second)
		spread[found] = true
	}
	if len(spread) < 2 {
		t.Error("expected polls to be spread, found one delay 50 times")
	}
	s := &schedule{}
	unset := sourceOf(func(obj *v1alpha1.ModuleSource) { obj.Spec.Interval.Duration = 0 })
	within(t, "without an interval", s.next(unset, good(true), noon).RequeueAfter, v1alpha1.DefaultInterval, v1alpha1.DefaultInterval*11/10)
}

// Retries come after two seconds, twice that, and so on up to the interval; a
// success ends the series.
func TestScheduleBackoff(t *testing.T) {
	s := &schedule{}
	obj := sourceOf(nil)
	for _, want := range []time.Duration{2, 4, 8, 16, 32, 64, 128, 256, 300, 300} {
		want *= time.Second
		within(t, "retry", s.next(obj, failing(v1alpha1.ReasonRegistryUnavailable, 0), noon).RequeueAfter, want, want*11/10)
	}
	for range 100 { // Far beyond what fits a duration, if it were doubled on.
		s.next(obj, failing(v1alpha1.ReasonRegistryUnavailable, 0), noon)
	}
	within(t, "many failures", s.next(obj, failing(v1alpha1.ReasonRegistryUnavailable, 0), noon).RequeueAfter, 5*time.Minute, 5*time.Minute*11/10)
	s.next(obj, good(true), noon)
	within(t, "after a success", s.next(obj, failing(v1alpha1.ReasonRegistryUnavailable, 0), noon).RequeueAfter, 2*time.Second, 2200*time.Millisecond)
}

// An edit, of whatever, is tried at once and begins the series anew, unless the
// registry asked to be left alone.
func TestScheduleEditWhileFailing(t *testing.T) {
	fails := func(s *schedule, retryAfter time.Duration) {
		for range 6 {
			s.next(sourceOf(nil), failing(v1alpha1.ReasonRegistryUnavailable, retryAfter), noon)
		}
	}
	edited := sourceOf(func(obj *v1alpha1.ModuleSource) { obj.Generation++; obj.Spec.Timeout.Duration = time.Minute })
	s := &schedule{}
	fails(s, 0)
	if s.due(sourceOf(nil), good(false), noon.Add(time.Second)) {
		t.Error("expected no poll without an edit, found one")
	}
	if !s.due(edited, good(false), noon.Add(time.Second)) {
		t.Error("expected a poll after an edit, found none")
	}
	within(t, "after an edit", s.next(edited, failing(v1alpha1.ReasonRegistryUnavailable, 0), noon).RequeueAfter, 2*time.Second, 2200*time.Millisecond)
	within(t, "and again", s.next(edited, failing(v1alpha1.ReasonRegistryUnavailable, 0), noon).RequeueAfter, 4*time.Second, 4400*time.Millisecond)

	fails(s, time.Hour)
	if s.due(edited, good(false), noon.Add(time.Second)) {
		t.Error("expected the registry to be left alone after an edit, found a poll")
	}
}

// What is refused is not an error of the registry's: it is looked at again at
// the interval, each time.
func TestScheduleRefused(t *testing.T) {
	s := &schedule{}
	refused := good(true)
	refused.err = &source.Error{Step: source.StepVerify, Kind: source.Refused, Reason: v1alpha1.ReasonNoSignature, Message: "no"}
	now := noon
	for range 20 {
		delay := s.next(sourceOf(nil), refused, now).RequeueAfter
		within(t, "after a refusal", delay, 5*time.Minute, 5*time.Minute*11/10)
		if s.due(sourceOf(nil), good(false), now.Add(delay-time.Second)) {
			t.Error("expected no poll before its time, found one")
		}
		now = now.Add(delay)
	}
}

// What had to wait for the gate is still due, for whatever reason it was, and
// the series of its failures goes on.
func TestScheduleHold(t *testing.T) {
	s := &schedule{}
	key := types.NamespacedName{Namespace: "apps", Name: "app"}
	s.hold(key)
	if _, known := s.entries[key]; known {
		t.Error("expected one that was never polled not to be known by waiting")
	}
	for range 3 {
		s.next(sourceOf(nil), failing(v1alpha1.ReasonRegistryUnavailable, 0), noon)
	}
	s.hold(key)
	if !s.due(sourceOf(nil), good(false), noon) {
		t.Error("expected it to be due, found it is not")
	}
	within(t, "the fourth failure", s.next(sourceOf(nil), failing(v1alpha1.ReasonRegistryUnavailable, 0), noon).RequeueAfter, 16*time.Second, 17600*time.Millisecond)
}

// A registry that asks to be left alone is, also beyond the interval; one that
// asks for less does not hurry.
func TestScheduleRetryAfter(t *testing.T) {
	for asked, want := range map[time.Duration][2]time.Duration{
		time.Hour:       {time.Hour, time.Hour},
		3 * time.Second: {3 * time.Second, 3 * time.Second},
		time.Second:     {2 * time.Second, 2200 * time.Millisecond},
	} {
		s := &schedule{}
		obj := sourceOf(nil)
		within(t, "Retry-After "+asked.String(), s.next(obj, failing(v1alpha1.ReasonRateLimited, asked), noon).RequeueAfter, want[0], want[1])
		if almost := noon.Add(want[0] - time.Second); s.due(obj, good(false), almost) {
			t.Errorf("Retry-After %s: expected no poll before, found one a second before", asked)
		}
		if !s.due(obj, good(false), noon.Add(want[1])) {
			t.Errorf("Retry-After %s: expected a poll then, found none", asked)
		}
	}
}

// A look in between, for whatever reason, neither brings the next poll forward
// nor puts it off.
func TestScheduleLookInBetween(t *testing.T) {
	s := &schedule{}
	obj := sourceOf(nil)
	first := s.next(obj, good(true), noon).RequeueAfter
	second := s.next(obj, good(false), noon.Add(time.Minute)).RequeueAfter
	if first-second != time.Minute {
		t.Errorf("expected the poll at its time, found it %s later", second+time.Minute-first)
	}
	late := s.next(obj, good(false), noon.Add(first)).RequeueAfter
	within(t, "at its time, without a poll", late, 5*time.Minute, 5*time.Minute*11/10)
	within(t, "never at once", s.next(obj, failing(v1alpha1.ReasonRateLimited, 0), noon.Add(-time.Hour)).RequeueAfter, early, time.Minute)
}

// An interval that is made shorter holds from now on, and not from the next poll
// on; one that is made longer can wait. A retry keeps its time.
func TestScheduleIntervalIsEdited(t *testing.T) {
	every := func(interval time.Duration) *v1alpha1.ModuleSource {
		return sourceOf(func(obj *v1alpha1.ModuleSource) { obj.Spec.Interval.Duration = interval })
	}
	s := &schedule{}
	s.next(every(24*time.Hour), good(true), noon)
	within(t, "shorter", s.next(every(time.Minute), good(false), noon).RequeueAfter, time.Minute, 66*time.Second)
	within(t, "longer", s.next(every(24*time.Hour), good(false), noon).RequeueAfter, time.Minute, 66*time.Second)

	s = &schedule{}
	s.next(every(24*time.Hour), failing(v1alpha1.ReasonRateLimited, time.Hour), noon)
	within(t, "shorter, when to be left alone", s.next(every(time.Minute), good(false), noon).RequeueAfter, time.Hour, time.Hour)
}

func TestScheduleDue(t *testing.T) {
	const later, inTime = time.Minute, 6 * time.Minute
	tests := map[string]struct {
		edit  func(*v1alpha1.ModuleSource)
		o     func(*outcome)
		after time.Duration
		want  bool
	}{
		"nothing changed":   {after: later},
		"its time has come": {after: inTime, want: true},
		"another version":   {edit: func(obj *v1alpha1.ModuleSource) { obj.Spec.Version = "2.x" }, after: later, want: true},
		"a tag":             {edit: func(obj *v1alpha1.ModuleSource) { obj.Spec.Version, obj.Spec.Tag = "", "1.x" }, after: later, want: true},
		"another digest":    {edit: func(obj *v1alpha1.ModuleSource) { obj.Spec.Digest = "sha256:cccc" }, after: later, want: true},
		"another filter":    {edit: func(obj *v1alpha1.ModuleSource) { obj.Spec.VersionFilter = ".*" }, after: later, want: true},
		"another url":       {edit: func(obj *v1alpha1.ModuleSource) { obj.Spec.URL += "2" }, after: later, want: true},
		"another protocol":  {edit: func(obj *v1alpha1.ModuleSource) { obj.Spec.Insecure = true }, after: later, want: true},
		"other credentials": {o: func(o *outcome) { o.credentials = "other" }, after: later, want: true},
		"mutable versions":  {edit: func(obj *v1alpha1.ModuleSource) { obj.Spec.ImmutableVersions = ptr.To(false) }, after: later, want: true},
		"what is default":   {edit: func(obj *v1alpha1.ModuleSource) { obj.Spec.ImmutableVersions = ptr.To(true) }, after: later},
		"downgrades":        {edit: func(obj *v1alpha1.ModuleSource) { obj.Spec.AllowDowngrade = true }, after: later, want: true},
		"a digest is accepted": {edit: func(obj *v1alpha1.ModuleSource) {
			obj.Annotations = map[string]string{v1alpha1.AcceptDigestAnnotation: second}
		}, after: later, want: true},
		"another interval": {edit: func(obj *v1alpha1.ModuleSource) { obj.Spec.Interval.Duration = time.Hour }, after: later},
		"a person asks": {edit: func(obj *v1alpha1.ModuleSource) {
			obj.Annotations = map[string]string{meta.ReconcileRequestAnnotation: "now"}
		}, after: later, want: true},
		"a person asked":                      {edit: handled, after: later},
		"the artifact is lost":                {o: func(o *outcome) { o.inStorage = false }, after: later, want: true},
		"the artifact is withdrawn":           {o: func(o *outcome) { o.withdrawn = &source.Error{} }, after: later, want: true},
		"another policy, that nobody applied": {o: func(o *outcome) { o.policyHash = otherPolicy }, after: later, want: true},
		"another policy, that was applied": {
			edit: func(obj *v1alpha1.ModuleSource) { obj.Status.Observed.PolicyHash = otherPolicy },
			o:    func(o *outcome) { o.policyHash = otherPolicy }, after: later,
		},
		"nothing was ever observed": {edit: func(obj *v1alpha1.ModuleSource) { obj.Status = statusOf(nothing) }, after: later, want: true},
		"a verdict is missing":      {edit: func(obj *v1alpha1.ModuleSource) { obj.Status.Observed.PolicyHash = "" }, after: later, want: true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := &schedule{}
			s.next(sourceOf(nil), good(true), noon)
			o := good(false)
			if tt.o != nil {
				tt.o(&o)
			}
			if found := s.due(sourceOf(tt.edit), o, noon.Add(tt.after)); found != tt.want {
				t.Errorf("expected %t, found %t", tt.want, found)
			}
		})
	}
}

func handled(obj *v1alpha1.ModuleSource) {
	obj.Annotations = map[string]string{meta.ReconcileRequestAnnotation: "before"}
	obj.Status.LastHandledReconcileAt = "before"
}

// Timers are not exact: a poll may come a little before its time, and not more.
func TestScheduleDueEarly(t *testing.T) {
	s := &schedule{}
	at := noon.Add(s.next(sourceOf(nil), good(true), noon).RequeueAfter)
	if !s.due(sourceOf(nil), good(false), at.Add(-early)) {
		t.Error("expected a timer that is a little early to do")
	}
	if s.due(sourceOf(nil), good(false), at.Add(-early-time.Millisecond)) {
		t.Error("expected no poll before")
	}
}

// The policy was applied to what is published, which is what is observed: there
// is nothing to ask. Were something else observed, there would be.
func TestScheduleRejudged(t *testing.T) {
	s := &schedule{}
	s.next(sourceOf(nil), good(true), noon)
	o := good(false)
	o.policyHash, o.rejudged = otherPolicy, verifiedDigest(t)
	if s.due(sourceOf(nil), o, noon.Add(time.Minute)) {
		t.Error("expected no poll where the published revision is the observed one, found one")
	}
	refused := sourceOf(func(obj *v1alpha1.ModuleSource) { obj.Status = statusOf(keeping) })
	if !s.due(refused, o, noon.Add(time.Minute)) {
		t.Error("expected a poll where a refused revision is observed, found none")
	}
}

// A source that is not known, because the controller has started or the object
// is new, is due; so is one that is resumed.
func TestScheduleUnknownAndResumed(t *testing.T) {
	s := &schedule{}
	obj := sourceOf(nil)
	if !s.due(obj, good(false), noon) {
		t.Error("expected a new one to be due")
	}
	s.next(obj, good(true), noon)
	suspended := sourceOf(func(obj *v1alpha1.ModuleSource) { obj.Spec.Suspend = true })
	within(t, "suspended", s.next(suspended, good(false), noon.Add(time.Hour)).RequeueAfter, 5*time.Minute, 5*time.Minute*11/10)
	if !s.due(obj, good(false), noon.Add(time.Hour)) {
		t.Error("expected a resumed one to be due")
	}
	s.next(obj, good(true), noon.Add(time.Hour))
	s.forget(types.NamespacedName{Namespace: "apps", Name: "app"})
	if len(s.entries) != 0 {
		t.Errorf("expected nothing to be kept of a deleted one, found %v", s.entries)
	}
	if !s.due(obj, good(false), noon.Add(time.Hour)) {
		t.Error("expected one that is made anew to be due")
	}
}
