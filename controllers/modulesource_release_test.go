package controllers

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/assay-dev/assay/api/v1alpha1"
	"github.com/assay-dev/assay/internal/artifact"
	"github.com/assay-dev/assay/internal/registry"
	"github.com/assay-dev/assay/internal/source"
)

const (
	appURL   = "oci://registry.example.com/app"
	otherURL = "oci://registry.example.com/other"
)

// selected is sourceOf with what its status knows of the versions.
func selected(edit func(*v1alpha1.ModuleSource)) *v1alpha1.ModuleSource {
	return sourceOf(func(obj *v1alpha1.ModuleSource) {
		obj.Status.VerifiedVersions = []v1alpha1.VerifiedVersion{
			{URL: appURL, Version: "1.0.0", Digest: first}, {URL: otherURL, Version: "1.1.0", Digest: second},
		}
		obj.Status.Selection = &v1alpha1.Selection{URL: appURL, Version: "1.x"}
		if edit != nil {
			edit(obj)
		}
	})
}

// What a spec says of releases, and what its status knows of them.
func TestReleases(t *testing.T) {
	versions := map[string]string{"1.0.0": first}
	tests := map[string]struct {
		edit      func(*v1alpha1.ModuleSource)
		verified  map[string]string
		accepted  string
		published string
	}{
		"a range":                   {nil, versions, "", "1.0.0"},
		"a tag":                     {func(obj *v1alpha1.ModuleSource) { obj.Spec.Version, obj.Spec.Tag = "", "latest" }, nil, "", ""},
		"another repository":        {func(obj *v1alpha1.ModuleSource) { obj.Spec.URL = otherURL }, map[string]string{"1.1.0": second}, "", ""},
		"immutable as said":         {func(obj *v1alpha1.ModuleSource) { obj.Spec.ImmutableVersions = ptr.To(true) }, versions, "", "1.0.0"},
		"mutable as said":           {func(obj *v1alpha1.ModuleSource) { obj.Spec.ImmutableVersions = ptr.To(false) }, nil, "", "1.0.0"},
		"nothing verified yet":      {func(obj *v1alpha1.ModuleSource) { obj.Status.VerifiedVersions = nil }, map[string]string{}, "", "1.0.0"},
		"accepted by annotation":    {accepting(second), versions, second, "1.0.0"},
		"accepted by a pin":         {func(obj *v1alpha1.ModuleSource) { accepting(first)(obj); obj.Spec.Digest = second }, versions, second, "1.0.0"},
		"accepted, though mutable":  {func(obj *v1alpha1.ModuleSource) { accepting(second)(obj); obj.Spec.ImmutableVersions = ptr.To(false) }, nil, "", "1.0.0"},
		"downgrades allowed":        {func(obj *v1alpha1.ModuleSource) { obj.Spec.AllowDowngrade = true }, versions, "", ""},
		"nothing published":         {func(obj *v1alpha1.ModuleSource) { obj.Status.Artifact = nil }, versions, "", ""},
		"selection not known":       {func(obj *v1alpha1.ModuleSource) { obj.Status.Selection = nil }, versions, "", ""},
		"another range":             {func(obj *v1alpha1.ModuleSource) { obj.Spec.Version = "<1.0.0" }, versions, "", ""},
		"another filter":            {func(obj *v1alpha1.ModuleSource) { obj.Spec.VersionFilter = "1.*" }, versions, "", ""},
		"published without version": {func(obj *v1alpha1.ModuleSource) { obj.Status.Artifact.Revision = first }, versions, "", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := releases(selected(tt.edit))
			published := ""
			if r.Published != nil {
				published = r.Published.String()
			}
			if diff := cmp.Diff([]any{tt.verified, tt.accepted, tt.published}, []any{r.Verified, r.Accepted, published}); diff != "" {
				t.Errorf("(-expected +found):\n%s", diff)
			}
		})
	}
}

func accepting(digest string) func(*v1alpha1.ModuleSource) {
	return func(obj *v1alpha1.ModuleSource) {
		obj.Annotations = map[string]string{v1alpha1.AcceptDigestAnnotation: digest}
	}
}

// A version is known once, at the digest at which it was verified last, before
// those that were verified before it.
func TestRecorded(t *testing.T) {
	of := func(url, version, digest string) v1alpha1.VerifiedVersion {
		return v1alpha1.VerifiedVersion{URL: url, Version: version, Digest: digest}
	}
	a, b, elsewhere := of(appURL, "1.0.0", first), of(appURL, "1.1.0", first), of(otherURL, "1.0.0", first)
	var full []v1alpha1.VerifiedVersion
	for i := range v1alpha1.VerifiedVersionsLimit {
		full = append(full, of(appURL, fmt.Sprintf("2.0.%d", i), first))
	}
	tests := map[string]struct {
		all  []v1alpha1.VerifiedVersion
		v    v1alpha1.VerifiedVersion
		want []v1alpha1.VerifiedVersion
	}{
		"the first":                 {nil, a, []v1alpha1.VerifiedVersion{a}},
		"the same again":            {[]v1alpha1.VerifiedVersion{a, b}, a, []v1alpha1.VerifiedVersion{a, b}},
		"another":                   {[]v1alpha1.VerifiedVersion{a}, b, []v1alpha1.VerifiedVersion{b, a}},
		"one from before":           {[]v1alpha1.VerifiedVersion{a, b}, b, []v1alpha1.VerifiedVersion{b, a}},
		"at another digest":         {[]v1alpha1.VerifiedVersion{a, b}, of(appURL, "1.0.0", second), []v1alpha1.VerifiedVersion{of(appURL, "1.0.0", second), b}},
		"of another repository":     {[]v1alpha1.VerifiedVersion{a}, elsewhere, []v1alpha1.VerifiedVersion{elsewhere, a}},
		"too many: the oldest goes": {full, a, append([]v1alpha1.VerifiedVersion{a}, full[:len(full)-1]...)},
	}
	for name, tt := range tests {
		before := append([]v1alpha1.VerifiedVersion{}, tt.all...)
		if diff := cmp.Diff(tt.want, recorded(tt.all, tt.v)); diff != "" {
			t.Errorf("%s (-expected +found):\n%s", name, diff)
		}
		if diff := cmp.Diff(before, append([]v1alpha1.VerifiedVersion{}, tt.all...)); diff != "" {
			t.Errorf("%s: what it was made from changed:\n%s", name, diff)
		}
	}
}

// What was found to be what is verified is recorded, and nothing of a tag, of a
// refusal, or of what was not judged.
func TestSetReleases(t *testing.T) {
	found := outcome{sync: source.Outcome{Revision: registry.Revision{Version: "v1.0.0", Digest: first}, Unchanged: true}}
	want := []v1alpha1.VerifiedVersion{{URL: appURL, Version: "1.0.0", Digest: first}}
	with := func(edit func(*outcome)) outcome {
		o := found
		edit(&o)
		return o
	}
	tests := map[string]struct {
		edit     func(*v1alpha1.ModuleSource)
		o        outcome
		verified []v1alpha1.VerifiedVersion
		selected bool
	}{
		"unchanged":  {nil, found, want, false},
		"not judged": {nil, with(func(o *outcome) { o.sync.Unchanged = false }), nil, false},
		"published": {nil, with(func(o *outcome) {
			o.sync.Unchanged, o.sync.Verified, o.sync.Published = false, verifiedDigest(t), artifact.Published{Digest: second}
		}), want, false},
		"verified, and not pulled": {nil, with(func(o *outcome) {
			o.sync.Unchanged, o.sync.Verified, o.err = false, verifiedDigest(t), &source.Error{Kind: source.Transient}
		}), nil, false},
		"verified, and not publishable": {nil, with(func(o *outcome) {
			o.sync.Unchanged, o.sync.Verified, o.err = false, verifiedDigest(t), &source.Error{Kind: source.Unpublishable}
		}), nil, false},
		"verified, and refused": {nil, with(func(o *outcome) {
			o.sync.Unchanged, o.sync.Verified, o.err = false, verifiedDigest(t), &source.Error{Kind: source.Refused}
		}), nil, false},
		"by a tag":       {func(obj *v1alpha1.ModuleSource) { obj.Spec.Version, obj.Spec.Tag = "", "v1.0.0" }, found, nil, false},
		"of no version":  {nil, with(func(o *outcome) { o.sync.Revision.Version = "" }), nil, false},
		"what is served": {nil, with(func(o *outcome) { o.sync.Revision.Version = "1.0.0" }), want, true},
		"with an error":  {nil, with(func(o *outcome) { o.sync.Revision.Version = "1.0.0"; o.err = &source.Error{} }), want, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			obj := sourceOf(tt.edit)
			s := obj.Status
			setReleases(&s, obj, tt.o)
			if diff := cmp.Diff(tt.verified, s.VerifiedVersions); diff != "" {
				t.Errorf("(-expected +found):\n%s", diff)
			}
			if (s.Selection != nil) != tt.selected {
				t.Errorf("expected the selection to be noted: %t, found %+v", tt.selected, s.Selection)
			}
		})
	}
	s := selected(nil).Status
	s.Artifact = nil
	if setReleases(&s, sourceOf(nil), outcome{}); s.Selection != nil {
		t.Errorf("expected no selection where nothing is published, found %+v", s.Selection)
	}
}

// A new digest without a signature has a while to get one, and nothing else has.
func TestAwait(t *testing.T) {
	fresh := "1.1.0@" + second
	unsigned := &source.Error{Step: source.StepVerify, Kind: source.Refused, Reason: v1alpha1.ReasonNoSignature, Message: "no"}
	seen := func(revision string, ago time.Duration, policy string) func(*v1alpha1.ModuleSource) {
		return func(obj *v1alpha1.ModuleSource) {
			obj.Status.Observed = &v1alpha1.ObservedRevision{Revision: revision, FirstSeenAt: metav1.NewTime(noon.Add(-ago)), PolicyHash: policy}
		}
	}
	grace := func(d time.Duration, edit func(*v1alpha1.ModuleSource)) func(*v1alpha1.ModuleSource) {
		return func(obj *v1alpha1.ModuleSource) {
			edit(obj)
			obj.Spec.Verify.SignatureGracePeriod = &metav1.Duration{Duration: d}
		}
	}
	other := *unsigned
	other.Reason = v1alpha1.ReasonKeyMismatch
	transient := *unsigned
	transient.Kind = source.Transient
	tests := map[string]struct {
		edit func(*v1alpha1.ModuleSource)
		err  *source.Error
		left time.Duration // 0: not awaited
	}{
		"never seen":                    {nil, unsigned, time.Minute},
		"nothing seen":                  {func(obj *v1alpha1.ModuleSource) { obj.Status.Observed = nil }, unsigned, time.Minute},
		"seen a while ago":              {seen(fresh, 20*time.Second, ""), unsigned, 40 * time.Second},
		"just before the end":           {seen(fresh, time.Minute-1, ""), unsigned, 1},
		"at the end":                    {seen(fresh, time.Minute, ""), unsigned, 0},
		"long ago":                      {seen(fresh, time.Hour, ""), unsigned, 0},
		"in the future":                 {seen(fresh, -time.Hour, ""), unsigned, time.Minute},
		"judged before":                 {seen(fresh, 0, policyHash), unsigned, 0},
		"judged before under another":   {seen(fresh, 0, otherPolicy), unsigned, 0},
		"another one was seen long ago": {seen("1.0.0@"+first, time.Hour, policyHash), unsigned, time.Minute},
		"a longer while":                {grace(time.Hour, seen(fresh, time.Minute, "")), unsigned, 59 * time.Minute},
		"no while":                      {grace(0, seen(fresh, 0, "")), unsigned, 0},
		"signed by another":             {nil, &other, 0},
		"the registry does not answer":  {nil, &transient, 0},
		"nothing is wrong":              {nil, nil, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			o := outcome{err: tt.err, sync: source.Outcome{Revision: registry.Revision{Version: "1.1.0", Digest: second}}}
			o.await(sourceOf(tt.edit), noon)
			if tt.left == 0 {
				if o.err != tt.err || !o.awaitingUntil.IsZero() {
					t.Errorf("expected nothing to be awaited, found %v until %s", o.err, o.awaitingUntil)
				}
				return
			}
			if !o.awaitingUntil.Equal(noon.Add(tt.left)) {
				t.Errorf("expected %s from now, found %s", tt.left, o.awaitingUntil.Sub(noon))
			}
			if e := o.err; e.Kind != source.Transient || e.Reason != v1alpha1.ReasonAwaitingSignature || e.Step != source.StepVerify || !strings.HasPrefix(e.Message, "no; ") {
				t.Errorf("found %+v", e)
			}
			if tt.err.Kind != source.Refused {
				t.Error("the refusal itself was changed")
			}
		})
	}
}

// An object that the cache has not caught up with is not decided on.
func TestScheduleStale(t *testing.T) {
	for name, tt := range map[string]struct {
		written, found string
		stale          bool
	}{
		"nothing was written": {"", "10", false},
		"what was written":    {"10", "10", false},
		"newer":               {"9", "10", false},
		"older":               {"10", "9", true},
		"not to be compared":  {"10", "x", true},
	} {
		t.Run(name, func(t *testing.T) {
			var s schedule
			obj := sourceOf(func(obj *v1alpha1.ModuleSource) { obj.ResourceVersion = tt.written })
			if tt.written != "" {
				s.wrote(obj)
			}
			obj.ResourceVersion = tt.found
			if got := s.isStale(obj); got != tt.stale {
				t.Errorf("expected stale to be %t", tt.stale)
			}
			obj.Name = "other"
			if s.isStale(obj) {
				t.Error("expected nothing to be known of another one")
			}
		})
	}
}

// Trust that is gone is looked at when it is withdrawn, however long the
// interval, and not later than the interval.
func TestScheduleLooksWhenTrustIsGone(t *testing.T) {
	for name, tt := range map[string]struct {
		gone     time.Duration // 0: it is not
		from, to time.Duration
	}{
		"not gone":                    {0, 5 * time.Minute, 5*time.Minute + 30*time.Second},
		"gone in a minute":            {time.Minute, time.Minute, time.Minute},
		"gone after the next look":    {time.Hour, 5 * time.Minute, 5*time.Minute + 30*time.Second},
		"gone a moment ago, or about": {time.Millisecond, early, early},
	} {
		t.Run(name, func(t *testing.T) {
			var s schedule
			o := good(true)
			if tt.gone != 0 {
				o.goneUntil = noon.Add(tt.gone)
			}
			within(t, "the next look", s.next(sourceOf(nil), o, noon).RequeueAfter, tt.from, tt.to)
		})
	}
}

// Who is told of is looked at once, however long it waits, and is forgotten with
// what it was told.
func TestWaitingIsTold(t *testing.T) {
	const host = "registry.example.com"
	r := &ModuleSourceReconciler{Now: func() time.Time { return noon }}
	p, _ := r.gate.enter(host, noon)
	r.gate.leave(p, noon, true, time.Hour)
	obj, other := sourceOf(nil), sourceOf(func(obj *v1alpha1.ModuleSource) { obj.Name = "other" })
	waits := func() {
		t.Helper()
		r.waits(obj, host, time.Hour)
		r.waits(other, host, time.Hour)
		if r.stillWaits(obj) == 0 || r.stillWaits(other) == 0 {
			t.Error("expected both to wait")
		}
	}
	name := types.NamespacedName{Namespace: obj.Namespace, Name: obj.Name}
	waits()
	r.waiting.tell(name)
	if r.stillWaits(other) == 0 {
		t.Error("expected another one to wait on")
	}
	if d := r.stillWaits(obj); d != 0 {
		t.Errorf("expected it to be looked at, found a wait for %s", d)
	}
	waits() // What it was told of is done with.
	r.waiting.tell(name)
	r.waits(obj, host, time.Hour) // It was at work already when it was told.
	if d := r.stillWaits(obj); d != 0 {
		t.Errorf("expected it to be looked at again, found a wait for %s", d)
	}
	r.waiting.tell(name)
	r.waiting.drop(name)
	if len(r.waiting.told) != 0 || len(r.waiting.entries) != 1 {
		t.Errorf("expected nothing to be known of what is gone, found %+v", r.waiting.entries)
	}
}

// Where no policy can be read, no verdict stands under it.
func TestScheduleVerdictOfNoPolicy(t *testing.T) {
	obj := sourceOf(func(obj *v1alpha1.ModuleSource) { obj.Status.Observed.PolicyHash = "" })
	if verdictStands(&obj.Status, outcome{}) {
		t.Error("expected no verdict to stand where no policy was read")
	}
	if !verdictStands(ptr.To(sourceOf(nil).Status), outcome{policyHash: policyHash}) {
		t.Error("expected the verdict under this policy to stand")
	}
}

// Signatures that are lost are asked for at once.
func TestScheduleDueAsSignaturesAreLost(t *testing.T) {
	var s schedule
	s.next(sourceOf(nil), good(true), noon)
	for _, lost := range []bool{false, true} {
		o := good(false)
		o.unkept = lost
		if due := s.due(sourceOf(nil), o, noon.Add(time.Second)); due != lost {
			t.Errorf("lost: %t: due: %t", lost, due)
		}
	}
}
