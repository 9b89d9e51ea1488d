package source

import (
	"errors"
	"time"

	"github.com/assay-dev/assay/internal/artifact"
	"github.com/assay-dev/assay/internal/registry"
	"github.com/assay-dev/assay/internal/verify"
)

// Step is a step of the way.
type Step string

// The steps, in their order. StepInputs comes before all: reading the spec and
// what it names.
const (
	StepInputs     Step = "inputs"
	StepResolve    Step = "resolve"
	StepSignatures Step = "signatures"
	StepVerify     Step = "verify"
	StepFetch      Step = "fetch"
	StepPublish    Step = "publish"
)

// Kind says what an error asks for.
type Kind int

const (
	// Transient says that it could not be judged or done this time: try again.
	Transient Kind = iota
	// Refused says that it was judged, and the answer is no.
	Refused
	// Unpublishable says that it was verified, and its content cannot be published.
	Unpublishable
	// Invalid says that the spec, or something that it names, must be edited.
	Invalid
)

// Reasons that arise here. The values are those of the condition reasons in
// api/v1alpha1.
const (
	ReasonDigestMismatch = "DigestMismatch"
	ReasonInvalidTrust   = "InvalidTrust"
)

// Error is the failure of a step.
type Error struct {
	Step   Step
	Kind   Kind
	Reason string
	// Message is what a user reads: stable on every retry, bounded, without
	// secrets.
	Message string
	// RetryAfter is how long the registry asked to be left alone; 0 when it did
	// not say.
	RetryAfter time.Duration
	// Gone says that something that the spec names does not exist, which is more
	// than that it cannot be read.
	Gone  bool
	cause error
}

func (e *Error) Error() string { return e.Message }

// Unwrap returns the step's own error.
func (e *Error) Unwrap() error { return e.cause }

// fail turns a step's own error into an Error. What it does not know is
// transient: not judged.
func fail(step Step, err error) *Error {
	e := &Error{Step: step, Kind: Transient, Reason: string(registry.RegistryUnavailable), Message: err.Error(), cause: err}
	var (
		refusal *verify.Refusal
		policy  *verify.PolicyError
		tooMany *verify.TooManySignaturesError
		stopped *verify.StoppedError
		remote  *registry.Error
		local   *artifact.Error
	)
	switch {
	case errors.As(err, &refusal):
		e.Kind, e.Reason = Refused, string(refusal.Reason)
	case errors.As(err, &policy):
		e.Kind, e.Reason = Invalid, ReasonInvalidTrust
	case errors.As(err, &tooMany):
		e.Reason = string(registry.TooManySignatures)
	case errors.As(err, &stopped):
		e.Reason = string(registry.TooManySignatures)
		e.Message += ": it did not end within spec.timeout, which bounds the whole attempt"
	case errors.As(err, &remote):
		e.Kind, e.Reason, e.RetryAfter = remoteKind(remote.Reason), string(remote.Reason), remote.RetryAfter
	case errors.As(err, &local):
		e.Kind, e.Reason = localKind(local.Reason), string(local.Reason)
	case step == StepPublish:
		e.Reason = string(artifact.ReasonStorageFailed)
	}
	return e
}

func remoteKind(r registry.Reason) Kind {
	switch r {
	case registry.VersionMismatch:
		return Refused
	case registry.ArtifactInvalid, registry.ArtifactTooLarge:
		return Unpublishable
	default:
		return Transient
	}
}

func localKind(r artifact.Reason) Kind {
	if r == artifact.ReasonStorageFailed {
		return Transient
	}
	return Unpublishable
}
