package controllers

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/assay-dev/assay/api/v1alpha1"
	"github.com/assay-dev/assay/internal/artifact"
	"github.com/assay-dev/assay/internal/registry"
	"github.com/assay-dev/assay/internal/source"
	"github.com/assay-dev/assay/internal/verify"
	"github.com/assay-dev/assay/test/signing"
)

// The digests of a first revision, which the tests publish, and of a second.
var (
	first  = "sha256:" + strings.Repeat("1", 64)
	second = "sha256:" + strings.Repeat("2", 64)
)

// kind is where a ModuleSource stands before a look at it.
type kind int

const (
	nothing   kind = iota // never looked at
	published             // 1.0.0 is observed, verified and published
	refused               // 1.0.0 is observed and refused, nothing published
	keeping               // 1.1.0 is observed and refused, 1.0.0 published
	withdrawn             // 1.0.0 is observed and refused, and was published
	lost                  // 1.0.0 was published when polling failed
)

func statusOf(k kind) v1alpha1.ModuleSourceStatus {
	s := v1alpha1.ModuleSourceStatus{ObservedGeneration: -1}
	if k == nothing {
		return s
	}
	s.ObservedGeneration = 2
	s.Observed = &v1alpha1.ObservedRevision{Revision: "1.0.0@" + first, Version: "1.0.0", Digest: first, FirstSeenAt: metav1.NewTime(noon), PolicyHash: policyHash}
	set := func(kind string, status metav1.ConditionStatus, reason string) {
		apimeta.SetStatusCondition(&s.Conditions, metav1.Condition{Type: kind, Status: status, Reason: reason, Message: "before", LastTransitionTime: metav1.NewTime(noon)})
	}
	if k == published || k == keeping || k == lost {
		s.Artifact = &meta.Artifact{Path: "modulesource/apps/app/a.tar.gz", URL: "http://before/modulesource/apps/app/a.tar.gz", Revision: "1.0.0@" + first, Digest: "sha256:a", LastUpdateTime: metav1.NewTime(noon)}
		s.Verification = &v1alpha1.Verification{Digest: first, PolicyHash: policyHash, VerifiedAt: metav1.NewTime(noon), Signatures: []v1alpha1.AcceptedSignature{{Authority: "a", Format: "bundle", KeyFingerprint: "sha256:f"}}}
	}
	if k != refused {
		s.History = []v1alpha1.VerifiedRevision{{Revision: "1.0.0@" + first, ArtifactDigest: "sha256:a", VerifiedAt: metav1.NewTime(noon)}}
	}
	if k == keeping {
		s.Observed.Revision, s.Observed.Version, s.Observed.Digest = "1.1.0@"+second, "1.1.0", second
	}
	switch k {
	case published, lost:
		set("Verified", metav1.ConditionTrue, "SignatureVerified")
		set("ArtifactInStorage", metav1.ConditionTrue, "ArtifactPublished")
		set("Ready", metav1.ConditionTrue, "SignatureVerified")
	case refused, keeping, withdrawn:
		set("Verified", metav1.ConditionFalse, "NoSignature")
		set("ArtifactInStorage", metav1.ConditionFalse, map[kind]string{refused: "NoArtifact", keeping: "ArtifactPublished", withdrawn: "ArtifactWithdrawn"}[k])
		set("Stalled", metav1.ConditionTrue, "NoSignature")
		set("Ready", metav1.ConditionFalse, "NoSignature")
	}
	if k == lost {
		set("FetchFailed", metav1.ConditionTrue, "RegistryUnavailable")
		set("Reconciling", metav1.ConditionTrue, "Retrying")
		set("Ready", metav1.ConditionFalse, "RegistryUnavailable")
	}
	return s
}

// verifiedDigest is a proof for the first digest.
func verifiedDigest(t *testing.T) verify.Verified {
	t.Helper()
	key, err := signing.NewKey(signing.ECDSAP256)
	if err != nil {
		t.Fatal(err)
	}
	made, err := signing.NewSignature("registry.example.com/app@"+first, key)
	if err != nil {
		t.Fatal(err)
	}
	annotations, err := json.Marshal(map[string]string{"dev.cosignproject.cosign/signature": made.Base64})
	if err != nil {
		t.Fatal(err)
	}
	keys, err := verify.ParseKeys(key.PublicPEM())
	if err != nil {
		t.Fatal(err)
	}
	policy := verify.Policy{Threshold: 1, Authorities: []verify.Authority{{Name: "a", Keys: keys, TransparencyLog: verify.LogIgnore}}}
	v, err := verify.Verify(policy, first, []verify.Signature{{Format: verify.FormatCosign, Payload: made.Payload, Annotations: annotations}})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func failed(step source.Step, kind source.Kind, reason string) *source.Error {
	return &source.Error{Step: step, Kind: kind, Reason: reason, Message: "why"}
}

// TestNextStatus has a row for each way through the functions that set
// conditions: all conditions that there are after it, and the event.
func TestNextStatus(t *testing.T) {
	verified := verifiedDigest(t)
	under := verified.PolicyHash()
	revision := registry.Revision{Version: "1.0.0", Digest: first}
	newer := registry.Revision{Version: "1.1.0", Digest: second}
	placed := artifact.Published{Path: "modulesource/apps/app/a.tar.gz", Digest: "sha256:a", Size: 7, Files: 1}

	tests := map[string]struct {
		before  kind
		suspend bool
		o       outcome
		want    map[string]string
		// event is "<type> <reason>"; "" for none.
		event string
		// artifact says whether there is one.
		artifact bool
		// judged says whether observed has a verdict under the policy.
		judged bool
	}{
		"published at first": {
			o:     outcome{policyHash: under, polled: true, sync: source.Outcome{Revision: revision, Verified: verified, Published: placed}},
			want:  map[string]string{"Verified": "True/SignatureVerified", "ArtifactInStorage": "True/ArtifactPublished", "Ready": "True/SignatureVerified"},
			event: "Normal SignatureVerified", artifact: true, judged: true,
		},
		"unchanged": {
			before: published,
			o:      outcome{policyHash: policyHash, polled: true, inStorage: true, sync: source.Outcome{Revision: revision, Unchanged: true}},
			want:   map[string]string{"Verified": "True/SignatureVerified", "ArtifactInStorage": "True/ArtifactPublished", "Ready": "True/SignatureVerified"}, artifact: true, judged: true,
		},
		"refused at first": {
			o:     outcome{policyHash: policyHash, polled: true, sync: source.Outcome{Revision: revision}, err: failed(source.StepVerify, source.Refused, "KeyMismatch")},
			want:  map[string]string{"Verified": "False/KeyMismatch", "ArtifactInStorage": "False/NoArtifact", "Stalled": "True/KeyMismatch", "Ready": "False/KeyMismatch"},
			event: "Warning KeyMismatch", judged: true,
		},
		"refused again": {
			before: refused,
			o:      outcome{policyHash: policyHash, polled: true, sync: source.Outcome{Revision: revision}, err: failed(source.StepVerify, source.Refused, "NoSignature")},
			want:   map[string]string{"Verified": "False/NoSignature", "ArtifactInStorage": "False/NoArtifact", "Stalled": "True/NoSignature", "Ready": "False/NoSignature"}, judged: true,
		},
		"a newer one is refused": {
			before: published,
			o:      outcome{policyHash: policyHash, polled: true, inStorage: true, sync: source.Outcome{Revision: newer}, err: failed(source.StepVerify, source.Refused, "NoSignature")},
			want:   map[string]string{"Verified": "False/NoSignature", "ArtifactInStorage": "True/ArtifactPublished", "Stalled": "True/NoSignature", "Ready": "False/NoSignature"},
			event:  "Warning NoSignature", artifact: true, judged: true,
		},
		"not reached at first": {
			o:     outcome{policyHash: policyHash, polled: true, err: failed(source.StepResolve, source.Transient, "RegistryUnavailable")},
			want:  map[string]string{"Verified": "Unknown/RegistryUnavailable", "ArtifactInStorage": "False/NoArtifact", "FetchFailed": "True/RegistryUnavailable", "Reconciling": "True/Retrying", "Ready": "False/RegistryUnavailable"},
			event: "Warning RegistryUnavailable",
		},
		"not reached later": {
			before: published,
			o:      outcome{policyHash: policyHash, polled: true, inStorage: true, err: failed(source.StepResolve, source.Transient, "RateLimited")},
			want:   map[string]string{"Verified": "True/SignatureVerified", "ArtifactInStorage": "True/ArtifactPublished", "FetchFailed": "True/RateLimited", "Reconciling": "True/Retrying", "Ready": "False/RateLimited"},
			event:  "Warning RateLimited", artifact: true, judged: true,
		},
		"not reached after a refusal": {
			before: refused,
			o:      outcome{policyHash: policyHash, polled: true, err: failed(source.StepResolve, source.Transient, "RegistryUnavailable")},
			want:   map[string]string{"Verified": "False/NoSignature", "ArtifactInStorage": "False/NoArtifact", "FetchFailed": "True/RegistryUnavailable", "Reconciling": "True/Retrying", "Ready": "False/NoSignature"}, judged: true,
		},
		"signatures of a newer one not reached": {
			before: published,
			o:      outcome{policyHash: policyHash, polled: true, inStorage: true, sync: source.Outcome{Revision: newer}, err: failed(source.StepSignatures, source.Transient, "RegistryUnavailable")},
			want:   map[string]string{"Verified": "Unknown/RegistryUnavailable", "ArtifactInStorage": "True/ArtifactPublished", "FetchFailed": "True/RegistryUnavailable", "Reconciling": "True/Retrying", "Ready": "False/RegistryUnavailable"},
			event:  "Warning RegistryUnavailable", artifact: true,
		},
		"too many signatures": {
			o:     outcome{policyHash: policyHash, polled: true, sync: source.Outcome{Revision: revision}, err: failed(source.StepSignatures, source.Transient, "TooManySignatures")},
			want:  map[string]string{"Verified": "Unknown/TooManySignatures", "ArtifactInStorage": "False/NoArtifact", "Reconciling": "True/Retrying", "Ready": "Unknown/TooManySignatures"},
			event: "Warning TooManySignatures",
		},
		"verified and not publishable": {
			o:     outcome{policyHash: under, polled: true, sync: source.Outcome{Revision: revision, Verified: verified}, err: failed(source.StepPublish, source.Unpublishable, "ArtifactTooLarge")},
			want:  map[string]string{"Verified": "True/SignatureVerified", "ArtifactInStorage": "False/NoArtifact", "FetchFailed": "True/ArtifactTooLarge", "Stalled": "True/ArtifactTooLarge", "Ready": "False/ArtifactTooLarge"},
			event: "Warning ArtifactTooLarge", judged: true,
		},
		"verified and not written": {
			o:     outcome{policyHash: under, polled: true, sync: source.Outcome{Revision: revision, Verified: verified}, err: failed(source.StepPublish, source.Transient, "StorageFailed")},
			want:  map[string]string{"Verified": "True/SignatureVerified", "ArtifactInStorage": "False/NoArtifact", "FetchFailed": "True/StorageFailed", "Reconciling": "True/Retrying", "Ready": "False/StorageFailed"},
			event: "Warning StorageFailed", judged: true,
		},
		"no trust at first": {
			o:     outcome{err: failed(source.StepInputs, source.Transient, "TrustUnavailable")},
			want:  map[string]string{"Verified": "Unknown/TrustUnavailable", "ArtifactInStorage": "False/NoArtifact", "Reconciling": "True/Retrying", "Ready": "Unknown/TrustUnavailable"},
			event: "Warning TrustUnavailable",
		},
		"no trust later": {
			before: published,
			o:      outcome{inStorage: true, err: failed(source.StepInputs, source.Transient, "TrustUnavailable")},
			want:   map[string]string{"Verified": "Unknown/TrustUnavailable", "ArtifactInStorage": "True/ArtifactPublished", "Reconciling": "True/Retrying", "Ready": "Unknown/TrustUnavailable"},
			event:  "Warning TrustUnavailable", artifact: true,
		},
		"no credentials later": {
			before: published,
			o:      outcome{policyHash: policyHash, inStorage: true, err: failed(source.StepInputs, source.Transient, "AuthenticationFailed")},
			want:   map[string]string{"Verified": "True/SignatureVerified", "ArtifactInStorage": "True/ArtifactPublished", "FetchFailed": "True/AuthenticationFailed", "Reconciling": "True/Retrying", "Ready": "False/AuthenticationFailed"},
			event:  "Warning AuthenticationFailed", artifact: true, judged: true,
		},
		"invalid": {
			before: published,
			o:      outcome{policyHash: policyHash, inStorage: true, err: failed(source.StepInputs, source.Invalid, "InvalidSpec")},
			want:   map[string]string{"Verified": "Unknown/InvalidSpec", "ArtifactInStorage": "True/ArtifactPublished", "Stalled": "True/InvalidSpec", "Ready": "False/InvalidSpec"},
			event:  "Warning InvalidSpec", artifact: true,
		},
		"judged again, yes": {
			before: published,
			o:      outcome{policyHash: under, inStorage: true, rejudged: verified},
			want:   map[string]string{"Verified": "True/SignatureVerified", "ArtifactInStorage": "True/ArtifactPublished", "Ready": "True/SignatureVerified"},
			event:  "Normal SignatureVerified", artifact: true, judged: true,
		},
		"judged again, no, registry down": {
			before: published,
			o: outcome{policyHash: otherPolicy, polled: true, withdrawn: failed(source.StepVerify, source.Refused, "KeyMismatch"),
				err: failed(source.StepResolve, source.Transient, "RegistryUnavailable")},
			want:  map[string]string{"Verified": "False/KeyMismatch", "ArtifactInStorage": "False/ArtifactWithdrawn", "FetchFailed": "True/RegistryUnavailable", "Reconciling": "True/Retrying", "Ready": "False/KeyMismatch"},
			event: "Warning ArtifactWithdrawn", judged: true,
		},
		"judged again, no, suspended": {
			before: published, suspend: true,
			o:     outcome{policyHash: otherPolicy, withdrawn: failed(source.StepVerify, source.Refused, "KeyMismatch")},
			want:  map[string]string{"Verified": "False/KeyMismatch", "ArtifactInStorage": "False/ArtifactWithdrawn", "Stalled": "True/KeyMismatch", "Ready": "False/KeyMismatch"},
			event: "Warning ArtifactWithdrawn", judged: true,
		},
		"judged again, no, and the registry has a better signature": {
			before: published,
			o: outcome{policyHash: under, polled: true, withdrawn: failed(source.StepVerify, source.Refused, "KeyMismatch"),
				sync: source.Outcome{Revision: revision, Verified: verified, Published: placed}},
			want:  map[string]string{"Verified": "True/SignatureVerified", "ArtifactInStorage": "True/ArtifactPublished", "Ready": "True/SignatureVerified"},
			event: "Normal SignatureVerified", artifact: true, judged: true,
		},
		"the published one under another policy, the observed one not judged": {
			before: keeping, suspend: true,
			o:     outcome{policyHash: under, inStorage: true, rejudged: verified},
			want:  map[string]string{"Verified": "Unknown/Progressing", "ArtifactInStorage": "True/ArtifactPublished", "Ready": "Unknown/Progressing"},
			event: "", artifact: true,
		},
		"still withdrawn": {
			before: withdrawn,
			o:      outcome{policyHash: policyHash, polled: true, sync: source.Outcome{Revision: revision}, err: failed(source.StepVerify, source.Refused, "NoSignature")},
			want:   map[string]string{"Verified": "False/NoSignature", "ArtifactInStorage": "False/ArtifactWithdrawn", "Stalled": "True/NoSignature", "Ready": "False/NoSignature"}, judged: true,
		},
		"suspended at first": {
			suspend: true, o: outcome{policyHash: policyHash},
			want: map[string]string{"Verified": "Unknown/Progressing", "ArtifactInStorage": "False/NoArtifact", "Ready": "Unknown/Progressing"},
		},
		"suspended and lost": {
			before: published, suspend: true, o: outcome{policyHash: policyHash},
			want:  map[string]string{"Verified": "True/SignatureVerified", "ArtifactInStorage": "False/ArtifactMissing", "Ready": "False/ArtifactMissing"},
			event: "Warning ArtifactMissing", artifact: true, judged: true,
		},
		"rebuilt, and the newer one still refused": {
			before: keeping,
			o: outcome{policyHash: policyHash, polled: true, inStorage: true, rebuilt: source.Outcome{Revision: revision, Verified: verified, Published: placed},
				sync: source.Outcome{Revision: newer}, err: failed(source.StepVerify, source.Refused, "NoSignature")},
			want: map[string]string{"Verified": "False/NoSignature", "ArtifactInStorage": "True/ArtifactPublished", "Stalled": "True/NoSignature", "Ready": "False/NoSignature"}, artifact: true, judged: true,
		},
		"looked at before the retry": {
			before: lost, o: outcome{policyHash: policyHash, inStorage: true},
			want: map[string]string{"Verified": "True/SignatureVerified", "ArtifactInStorage": "True/ArtifactPublished", "FetchFailed": "True/RegistryUnavailable", "Reconciling": "True/Retrying", "Ready": "False/RegistryUnavailable"}, artifact: true, judged: true,
		},
		"suspended before the retry": {
			before: lost, suspend: true, o: outcome{policyHash: policyHash, inStorage: true},
			want: map[string]string{"Verified": "True/SignatureVerified", "ArtifactInStorage": "True/ArtifactPublished", "FetchFailed": "True/RegistryUnavailable", "Ready": "False/RegistryUnavailable"}, artifact: true, judged: true,
		},
		"healed": {
			before: lost,
			o:      outcome{policyHash: policyHash, polled: true, inStorage: true, sync: source.Outcome{Revision: revision, Unchanged: true}},
			want:   map[string]string{"Verified": "True/SignatureVerified", "ArtifactInStorage": "True/ArtifactPublished", "Ready": "True/SignatureVerified"},
			event:  "Normal SignatureVerified", artifact: true, judged: true,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			obj := sourceOf(func(obj *v1alpha1.ModuleSource) { obj.Status, obj.Spec.Suspend = statusOf(tt.before), tt.suspend })
			untouched := obj.DeepCopy()
			after := nextStatus(obj, tt.o, "http://artifacts", noon.Add(time.Hour))
			if diff := cmp.Diff(untouched, obj); diff != "" {
				t.Errorf("expected the object untouched (-before +after):\n%s", diff)
			}
			found := map[string]string{}
			for _, c := range after.Conditions {
				found[c.Type] = string(c.Status) + "/" + c.Reason
				if c.ObservedGeneration != obj.Generation || c.Message == "" || c.LastTransitionTime.IsZero() {
					t.Errorf("%s: expected generation %d, a message and a time, found %+v", c.Type, obj.Generation, c)
				}
			}
			if diff := cmp.Diff(tt.want, found); diff != "" {
				t.Errorf("conditions (-expected +found):\n%s", diff)
			}
			if after.ObservedGeneration != obj.Generation || (after.Artifact != nil) != tt.artifact || (after.Verification != nil) != tt.artifact {
				t.Errorf("expected generation %d, and an artifact: %t, found %+v", obj.Generation, tt.artifact, after)
			}
			if after.Artifact != nil && after.Artifact.URL != "http://artifacts/"+after.Artifact.Path {
				t.Errorf("expected the URL of now, found %s", after.Artifact.URL)
			}
			if judged := after.Observed != nil && after.Observed.PolicyHash != "" && after.Observed.PolicyHash == tt.o.policyHash; judged != tt.judged {
				t.Errorf("expected a verdict under the policy: %t, found %+v", tt.judged, after.Observed)
			}
			checkTransition(t, &obj.Status, &after, tt.event)

			// The same again changes nothing and tells nothing.
			obj.Status = after
			tt.o.rejudged, tt.o.withdrawn, tt.o.rebuilt = verify.Verified{}, nil, source.Outcome{}
			if again := nextStatus(obj, tt.o, "http://artifacts", noon.Add(2*time.Hour)); cmp.Diff(after, again) != "" {
				t.Errorf("expected the same status again (-first +second):\n%s", cmp.Diff(after, again))
			}
		})
	}
}

func checkTransition(t *testing.T, before, after *v1alpha1.ModuleSourceStatus, want string) {
	t.Helper()
	found := ""
	if c, ok := transition(before, after); ok {
		found = c.kind + " " + c.reason
		if c.message == "" || (c.kind != corev1.EventTypeNormal && c.kind != corev1.EventTypeWarning) {
			t.Errorf("expected a kind and a message, found %+v", c)
		}
	}
	if found != want {
		t.Errorf("event: expected %q, found %q", want, found)
	}
	if c, ok := transition(after, after); ok {
		t.Errorf("expected no event without a change, found %+v", c)
	}
}

// Texts are cut where the API would refuse them, and between characters.
func TestBounded(t *testing.T) {
	for text, want := range map[string]string{"": "", "0123456789": "0123456789", "0123456789x": "0123456...", "012345éé89": "012345..."} {
		if found := bounded(text, 10); found != want {
			t.Errorf("%q: expected %q, found %q", text, want, found)
		}
	}
}
