package source

import (
	"errors"
	"fmt"
	"io/fs"
	"testing"
	"time"

	"github.com/assay-dev/assay/api/v1alpha1"
	"github.com/assay-dev/assay/internal/artifact"
	"github.com/assay-dev/assay/internal/registry"
	"github.com/assay-dev/assay/internal/verify"
)

// The reasons are compared with those of the API, which documents them.
func TestFail(t *testing.T) {
	remote := func(r registry.Reason) error { return &registry.Error{Reason: r, Message: "message"} }
	refused := func(r verify.Reason) error { return &verify.Refusal{Reason: r, Message: "message"} }
	local := func(r artifact.Reason) error { return &artifact.Error{Reason: r, Err: errors.New("message")} }
	tests := map[string]struct {
		step   Step
		err    error
		kind   Kind
		reason string
	}{
		"registry unavailable":            {StepResolve, remote(registry.RegistryUnavailable), Transient, v1alpha1.ReasonRegistryUnavailable},
		"rate limited":                    {StepResolve, remote(registry.RateLimited), Transient, v1alpha1.ReasonRateLimited},
		"authentication failed":           {StepResolve, remote(registry.AuthenticationFailed), Transient, v1alpha1.ReasonAuthenticationFailed},
		"repository not found":            {StepResolve, remote(registry.RepositoryNotFound), Transient, v1alpha1.ReasonRepositoryNotFound},
		"version not found":               {StepResolve, remote(registry.VersionNotFound), Transient, v1alpha1.ReasonVersionNotFound},
		"a reason that is not known":      {StepResolve, remote("Other"), Transient, "Other"},
		"registry, signatures":            {StepSignatures, remote(registry.RegistryUnavailable), Transient, v1alpha1.ReasonRegistryUnavailable},
		"too many signatures to collect":  {StepSignatures, remote(registry.TooManySignatures), Transient, v1alpha1.ReasonTooManySignatures},
		"too many signatures to judge":    {StepVerify, &verify.TooManySignaturesError{Found: 129}, Transient, v1alpha1.ReasonTooManySignatures},
		"no signature":                    {StepVerify, refused(verify.ReasonNoSignature), Refused, v1alpha1.ReasonNoSignature},
		"another key":                     {StepVerify, refused(verify.ReasonKeyMismatch), Refused, v1alpha1.ReasonKeyMismatch},
		"invalid signature":               {StepVerify, refused(verify.ReasonSignatureInvalid), Refused, v1alpha1.ReasonSignatureInvalid},
		"threshold":                       {StepVerify, refused(verify.ReasonThresholdNotMet), Refused, v1alpha1.ReasonThresholdNotMet},
		"a policy that cannot be applied": {StepVerify, &verify.PolicyError{Field: "verify", Problem: "message"}, Invalid, v1alpha1.ReasonInvalidTrust},
		"another version":                 {StepFetch, remote(registry.VersionMismatch), Refused, v1alpha1.ReasonVersionMismatch},
		"no module":                       {StepFetch, remote(registry.ArtifactInvalid), Unpublishable, v1alpha1.ReasonArtifactInvalid},
		"too large to pull":               {StepFetch, remote(registry.ArtifactTooLarge), Unpublishable, v1alpha1.ReasonArtifactTooLarge},
		"disk while pulling":              {StepFetch, remote(registry.StorageFailed), Transient, v1alpha1.ReasonStorageFailed},
		"no temporary folder":             {StepFetch, local(artifact.ReasonStorageFailed), Transient, v1alpha1.ReasonStorageFailed},
		"layers that are no module":       {StepPublish, local(artifact.ReasonArtifactInvalid), Unpublishable, v1alpha1.ReasonArtifactInvalid},
		"layers that are too large":       {StepPublish, local(artifact.ReasonArtifactTooLarge), Unpublishable, v1alpha1.ReasonArtifactTooLarge},
		"disk while publishing":           {StepPublish, local(artifact.ReasonStorageFailed), Transient, v1alpha1.ReasonStorageFailed},
		"an unknown one while publishing": {StepPublish, errors.New("message"), Transient, v1alpha1.ReasonStorageFailed},
		"an unknown one before":           {StepSignatures, errors.New("message"), Transient, v1alpha1.ReasonRegistryUnavailable},
		"an unknown one while judging":    {StepVerify, errors.New("message"), Transient, v1alpha1.ReasonRegistryUnavailable},
	}
	for name, tt := range tests {
		for _, wrapped := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, wrapped %t", name, wrapped), func(t *testing.T) {
				err := tt.err
				if wrapped {
					err = fmt.Errorf("while testing: %w", err)
				}
				found := fail(tt.step, err)
				if found.Step != tt.step || found.Kind != tt.kind || found.Reason != tt.reason {
					t.Errorf("expected kind %d, reason %s; found %+v", tt.kind, tt.reason, found)
				}
				if found.Message != err.Error() || found.Error() != err.Error() {
					t.Errorf("expected the message %q, found %q", err, found.Message)
				}
				if !errors.Is(found, tt.err) {
					t.Error("the step's own error is lost")
				}
			})
		}
	}
}

// A verdict that was stopped is none, and the message names what stopped it.
func TestFailOfAStoppedVerdict(t *testing.T) {
	cause := &verify.StoppedError{Signatures: 128}
	for _, err := range []error{cause, fmt.Errorf("while testing: %w", cause)} {
		found := fail(StepVerify, err)
		want := err.Error() + ": it did not end within spec.timeout, which bounds the whole attempt"
		if found.Step != StepVerify || found.Kind != Transient || found.Reason != v1alpha1.ReasonTooManySignatures || found.Message != want || !errors.Is(found, cause) {
			t.Errorf("expected %q, found %+v", want, found)
		}
	}
}

func TestFailKeepsRetryAfter(t *testing.T) {
	found := fail(StepResolve, &registry.Error{Reason: registry.RateLimited, RetryAfter: 7 * time.Second})
	if found.RetryAfter != 7*time.Second {
		t.Errorf("found %s", found.RetryAfter)
	}
}

func TestErrorUnwraps(t *testing.T) {
	if err := fail(StepPublish, &artifact.Error{Reason: artifact.ReasonStorageFailed, Err: fs.ErrPermission}); !errors.Is(err, fs.ErrPermission) {
		t.Error("the cause is lost")
	}
	if (&Error{Message: "message"}).Unwrap() != nil {
		t.Error("expected no cause")
	}
}

func TestReasonsOfItsOwn(t *testing.T) {
	if ReasonDigestMismatch != v1alpha1.ReasonDigestMismatch || ReasonInvalidTrust != v1alpha1.ReasonInvalidTrust {
		t.Error("they are not those of the API")
	}
}
