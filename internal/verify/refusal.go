package verify

// Reason says why a digest was judged and refused. The values are those of the
// condition reasons in api/v1alpha1.
type Reason string

// The reasons of a refusal, by how far the signature got that got furthest.
const (
	// ReasonNoSignature: nothing that counts as a signature was found.
	ReasonNoSignature Reason = "NoSignature"
	// ReasonSignatureInvalid: malformed, or by a trusted key but not over this
	// digest.
	ReasonSignatureInvalid Reason = "SignatureInvalid"
	// ReasonKeyMismatch: well formed, but no trusted key verifies it.
	ReasonKeyMismatch Reason = "KeyMismatch"
	// ReasonThresholdNotMet: some authorities are satisfied, too few.
	ReasonThresholdNotMet Reason = "ThresholdNotMet"
)

// Refusal is the verdict no: the signatures were judged and do not suffice.
type Refusal struct {
	Reason Reason
	// Message names the digest, what was expected and what was found. It is
	// the same for the same input, in whatever order the signatures come, and
	// holds nothing that is not verified. It is less than 4 KiB, if names are
	// of at most 63 characters, as the API has it.
	Message string
}

func (r *Refusal) Error() string { return r.Message }

// TooManySignaturesError says that nothing was judged, because there are more
// than MaxSignatures signatures.
type TooManySignaturesError struct{ Found int }

func (e *TooManySignaturesError) Error() string {
	return "too many signatures to judge: " + countOf(e.Found, "signature") + ", at most " + countOf(MaxSignatures, "signature")
}
