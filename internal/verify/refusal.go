package verify

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Reason says why a digest was judged and refused. The values are those of the
// condition reasons in api/v1alpha1.
type Reason string

// The reasons of a refusal; of several signatures, that of the one that got
// furthest.
const (
	// ReasonNoSignature: nothing that counts as a signature was found.
	ReasonNoSignature Reason = "NoSignature"
	// ReasonSignatureInvalid: malformed, or not over this digest, or it makes a
	// library fail.
	ReasonSignatureInvalid Reason = "SignatureInvalid"
	// ReasonKeyMismatch: well formed, but no trusted key verifies it.
	ReasonKeyMismatch Reason = "KeyMismatch"
	// ReasonTransparencyLogMissing: no log recorded it.
	ReasonTransparencyLogMissing Reason = "TransparencyLogMissing"
	// ReasonTransparencyLogInvalid: its log entry does not verify, is of
	// another signature, or by a log that is not trusted.
	ReasonTransparencyLogInvalid Reason = "TransparencyLogInvalid"
	// ReasonTimestampInvalid: its timestamp does not verify, or nobody trusted
	// says when it was made.
	ReasonTimestampInvalid Reason = "TimestampInvalid"
	// ReasonCertificateInvalid: there is no certificate, or it does not lead to
	// a trusted authority, was not valid at that time, is in no certificate
	// transparency log, or does not say who signed.
	ReasonCertificateInvalid Reason = "CertificateInvalid"
	// ReasonIdentityMismatch: verified, by an identity that may not sign.
	ReasonIdentityMismatch Reason = "IdentityMismatch"
	// ReasonTimeMismatch: verified, by who may sign, and made at a time at which
	// its authority does not count.
	ReasonTimeMismatch Reason = "TimeMismatch"
	// ReasonThresholdNotMet: some authorities are satisfied, too few.
	ReasonThresholdNotMet Reason = "ThresholdNotMet"
	// ReasonDigestDenied: the policy denies the digest. No signature was looked
	// at.
	ReasonDigestDenied Reason = "DigestDenied"
)

// Refusal is the verdict no: the signatures were judged and do not suffice.
type Refusal struct {
	Reason Reason
	// Message names the digest, what was expected and what was found. It is
	// the same for the same input, in whatever order the signatures come, and
	// holds nothing that is not verified. It is less than 4 KiB, if names are
	// of at most 63 characters, as the API has it.
	Message string
	// ByRoot says that some signature fell short by what the trusted root holds:
	// by a newer one it may not, such as where the key of a log is new.
	ByRoot bool
	// Panics is how many panics of libraries were caught on the way. It must be
	// 0: see [Verified.Panics].
	Panics int
}

func (r *Refusal) Error() string { return r.Message }

// TooManySignaturesError says that nothing was judged, because there are more
// than MaxSignatures signatures.
type TooManySignaturesError struct{ Found int }

func (e *TooManySignaturesError) Error() string {
	return "too many signatures to judge: " + countOf(e.Found, "signature") + ", at most " + countOf(MaxSignatures, "signature")
}

// StoppedError says that nothing was judged, because the verdict was stopped
// before it was reached.
type StoppedError struct {
	// Signatures is how many there were to judge.
	Signatures int
	// Panics is as in [Verified.Panics].
	Panics int
}

func (e *StoppedError) Error() string {
	return "the verdict on " + countOf(e.Signatures, "signature") + " was stopped: nothing was judged"
}

// refusal words the verdict no.
func (j *judgement) refusal(signers []Signer) *Refusal {
	if len(signers) > 0 {
		return &Refusal{ByRoot: j.byRoot, Panics: j.faults, Reason: ReasonThresholdNotMet, Message: fmt.Sprintf(
			"%s: expected distinct signers for %s of %d, found %d: %s",
			j.digest, countOf(j.policy.Threshold, "authority"), len(j.policy.Authorities), len(signers), j.assignment(signers))}
	}
	furthest := attestation
	for s := range satisfying {
		if j.count[s] > 0 {
			furthest = s
		}
	}
	return &Refusal{ByRoot: j.byRoot, Panics: j.faults, Reason: reasons[furthest], Message: fmt.Sprintf("%s: %s", j.digest, j.word(furthest))}
}

// word says what was expected and what was found.
func (j *judgement) word(furthest standing) string {
	expected, found := "expected a signature by "+j.expected(), countOf(j.count[furthest], "signature")
	switch furthest {
	case attestation:
		if j.count[attestation] == 0 {
			return expected + ", found none"
		}
		return fmt.Sprintf("%s, found none; %s found, which is not a signature", expected, countOf(j.count[attestation], "attestation"))
	case unreadable:
		return fmt.Sprintf("%s, found %s that cannot be read; of one, %s", expected, found, j.detail[furthest])
	case faulted:
		return fmt.Sprintf("%s, found %s that cannot be judged: a library failed at it", expected, found)
	case uncertificated:
		return fmt.Sprintf("%s, found %s by a key, without a certificate", expected, found)
	case byOthers:
		return fmt.Sprintf("%s, found %s that no trusted key verifies", expected, found)
	case broken:
		return fmt.Sprintf("%s, found %s that the library of its format refuses, though all around it verifies (not made by its certificate's key?)", expected, found)
	case foreign:
		return fmt.Sprintf("%s, found %s over something else", expected, found)
	case otherIdentity:
		return fmt.Sprintf("%s, found %s by %s", expected, found, j.otherSigners())
	case overOthers:
		return fmt.Sprintf("expected a signature over this digest, found %s by a trusted %s over something else (copied from another digest?)", found, j.kindOfSigner())
	case mistimed:
		return fmt.Sprintf("%s, found %s by a trusted %s at a time at which it does not count; of one, it was %s", expected, found, j.kindOfSigner(), j.detail[furthest])
	default: // What stands around it falls short.
		return fmt.Sprintf("%s, found %s that cannot be accepted; of one, %s", expected, found, j.detail[furthest])
	}
}

func (j *judgement) kindOfSigner() string {
	if slices.ContainsFunc(j.policy.Authorities, func(a Authority) bool { return len(a.Identities) > 0 }) {
		return "signer"
	}
	return "key"
}

// expected names whom the policy trusts, bounded.
func (j *judgement) expected() string {
	const most = 3
	var names []string
	total := 0
	for _, a := range j.policy.Authorities {
		for _, k := range a.Keys {
			if total++; total <= most {
				names = append(names, fmt.Sprintf("%s (key %s)", a.Name, k.fingerprint))
			}
		}
		for _, i := range a.Identities {
			if total++; total < most {
				names = append(names, fmt.Sprintf("%s (%s)", a.Name, i))
			}
		}
	}
	text := strings.Join(names, " or ")
	if more := total - len(names); more > 0 {
		text += fmt.Sprintf(" or one of %d more %ss", more, j.kindOfSigner())
	}
	return text
}

// otherSigners names the identities whose signatures verified and may not sign,
// bounded.
func (j *judgement) otherSigners() string {
	const most = 2
	names := slices.Sorted(maps.Keys(j.others))
	text := strings.Join(names[:min(most, len(names))], " and ")
	if more := len(names) - most; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// describe names a verified signer that may not sign, and where it is only for
// an extension, which.
func (c claims) describe(allowed []Identity) string {
	text := fmt.Sprintf("issuer %s, subject %s", short(c.issuer, longText), short(c.subject, longText))
	for _, i := range allowed {
		if i.namesSigner(c) {
			lacking := i.differing(c)
			found, ok := c.extension(lacking.Name)
			if !ok {
				return text + fmt.Sprintf(", without %s", lacking.Name)
			}
			return text + fmt.Sprintf(", %s %s and not %s", lacking.Name, short(found, shortText), short(lacking.Value, shortText))
		}
	}
	return text
}

// assignment says which authorities are satisfied, and by whom.
func (j *judgement) assignment(signers []Signer) string {
	by := map[string]Signer{}
	for _, s := range signers {
		by[s.Authority] = s
	}
	parts := make([]string, 0, len(j.policy.Authorities))
	for _, a := range j.policy.Authorities {
		s, ok := by[a.Name]
		switch {
		case !ok:
			parts = append(parts, a.Name+" by none")
		case s.KeyFingerprint != "":
			parts = append(parts, fmt.Sprintf("%s by key %s", a.Name, s.KeyFingerprint))
		default:
			parts = append(parts, fmt.Sprintf("%s by %s", a.Name, short(s.Subject, shortText)))
		}
	}
	return strings.Join(parts, ", ")
}

func countOf(n int, noun string) string {
	switch {
	case n == 1:
		return "1 " + noun
	case strings.HasSuffix(noun, "y"):
		return fmt.Sprintf("%d %sies", n, strings.TrimSuffix(noun, "y"))
	default:
		return fmt.Sprintf("%d %ss", n, noun)
	}
}

// How much of a name stands in a message, in bytes. A condition's message is
// cut at 2048.
const (
	shortText = 160
	longText  = 240
)

// short quotes a text for a message, at most so many bytes of it. One with a
// backslash, as regular expressions have, is quoted so that it can be copied.
func short(text string, most int) string {
	format := "%q"
	if strings.Contains(text, `\`) {
		format = "%#q"
	}
	if len(text) > most {
		return fmt.Sprintf(format+"...", strings.ToValidUTF8(text[:most], ""))
	}
	return fmt.Sprintf(format, text)
}
