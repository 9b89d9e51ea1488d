package verify

// standing is how far a signature got, worst first. The reason of a refusal is
// that of the signature that got furthest.
type standing int

const (
	attestation    standing = iota // not a signature
	unreadable                     // malformed
	faulted                        // judging it made a library panic
	uncertificated                 // by a key, where a certificate is wanted
	byOthers                       // no trusted key made it
	unlogged                       // no log recorded it
	wronglyLogged                  // its log entry does not verify
	untimed                        // nobody trusted says when it was made
	uncertified                    // its certificate does not verify
	broken                         // all around it verifies, and the library refuses it
	foreign                        // over something else, by nobody who may sign
	otherIdentity                  // over this digest, by an identity that may not sign
	overOthers                     // over something else, by who may sign
	mistimed                       // over this digest, by who may sign, not at that time
	satisfying                     // over this digest, by who may sign
	standings                      // how many there are
)

// reasons are the reasons of the standings below satisfying.
var reasons = [standings]Reason{
	attestation:    ReasonNoSignature,
	unreadable:     ReasonSignatureInvalid,
	faulted:        ReasonSignatureInvalid,
	uncertificated: ReasonCertificateInvalid,
	byOthers:       ReasonKeyMismatch,
	unlogged:       ReasonTransparencyLogMissing,
	wronglyLogged:  ReasonTransparencyLogInvalid,
	untimed:        ReasonTimestampInvalid,
	uncertified:    ReasonCertificateInvalid,
	broken:         ReasonSignatureInvalid,
	foreign:        ReasonSignatureInvalid,
	otherIdentity:  ReasonIdentityMismatch,
	overOthers:     ReasonSignatureInvalid,
	mistimed:       ReasonTimeMismatch,
}

// finding is the standing of one signature, and a text that says more: ours, or
// what has verified.
type finding struct {
	standing standing
	detail   string
}

// better returns the finding that got further; of two that got as far, the one
// whose text sorts first, so that a message does not follow the order of
// signatures.
func (f finding) better(other finding) finding {
	if other.standing > f.standing || (other.standing == f.standing && other.detail < f.detail) {
		return other
	}
	return f
}
