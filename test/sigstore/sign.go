package sigstore

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/secure-systems-lab/go-securesystemslib/dsse"
	"github.com/sigstore/cosign/v2/pkg/types"
	rekorpb "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"github.com/sigstore/sigstore/pkg/signature/payload"

	"github.com/assay-dev/assay/test/signing"
)

// Format is how a signature is written.
type Format string

// The formats.
const (
	FormatCosign Format = "cosign" // v2, under the .sig tag
	FormatBundle Format = "bundle" // a Sigstore bundle, attached as a referrer
)

// Log is a kind of transparency log.
type Log string

// The kinds of transparency log.
const (
	NoLog  Log = ""
	Rekor1 Log = "rekor1"
	Rekor2 Log = "rekor2"
)

// DefaultRepository is what the payload of the v2 format names, unless a
// request says otherwise.
const DefaultRepository = "registry.example/modules/greeting"

// Request says what to sign, and who is to witness it. Only Digest and Format
// are required.
type Request struct {
	// Digest is the artifact's, "sha256:…".
	Digest string

	Format Format

	// Repository is what the payload of the v2 format names, without a tag.
	Repository string

	// PredicateType is of the statement in a bundle. Empty stands for that of
	// a signature; with another one it is an attestation.
	PredicateType string

	// MessageSignature makes a bundle with a signature of the artifact itself
	// instead of a statement. Only for keys that sign SHA-256.
	MessageSignature bool

	// Payload is signed in place of the document that names Digest.
	Payload []byte

	// Log is the kind of log that gets an entry, and LogBy the instance, if it
	// is not the one that signs.
	Log   Log
	LogBy *Sigstore

	// LogTime is when Rekor v1 says that it included the entry. The default is
	// now.
	LogTime time.Time

	// PromiseOnly and ProofOnly leave out Rekor v1's proof of inclusion, or its
	// signed entry timestamp.
	PromiseOnly, ProofOnly bool

	// Timestamp asks for a timestamp, of TimestampBy if it is not the instance
	// that signs, and for TimestampTime, which defaults to now.
	Timestamp     bool
	TimestampBy   *Sigstore
	TimestampTime time.Time
}

// Sign makes a signature.
func (s *Sigstore) Sign(signer *Signer, r Request) (*Signed, error) {
	signed, err := signer.Sign(r)
	if err != nil {
		return nil, fmt.Errorf("signing %s: %w", r.Digest, err)
	}
	if r.Log != NoLog {
		entry, err := or(r.LogBy, s).entry(signed, r)
		if err != nil {
			return nil, fmt.Errorf("logging the signature: %w", err)
		}
		signed.Entries = append(signed.Entries, entry)
	}
	if r.Timestamp {
		// Only the command line of cosign v2 wants the certificate of the
		// authority in the response.
		response, err := or(r.TimestampBy, s).Timestamp(signed.Signature, orNow(r.TimestampTime), r.Format == FormatCosign)
		if err != nil {
			return nil, err
		}
		signed.Timestamps = append(signed.Timestamps, response)
	}
	return signed, nil
}

// or is the first instance, if there is one.
func or(first, second *Sigstore) *Sigstore {
	if first != nil {
		return first
	}
	return second
}

func orNow(at time.Time) time.Time {
	if at.IsZero() {
		return time.Now()
	}
	return at
}

// entry logs the signature as the request says.
func (s *Sigstore) entry(signed *Signed, r Request) (*rekorpb.TransparencyLogEntry, error) {
	switch r.Log {
	case Rekor1:
		entry, err := s.Log1(signed, orNow(r.LogTime))
		if err != nil {
			return nil, err
		}
		if r.PromiseOnly {
			entry.InclusionProof = nil
		}
		if r.ProofOnly {
			entry.InclusionPromise = nil
		}
		return entry, nil
	case Rekor2:
		return s.Log2(signed)
	default:
		return nil, fmt.Errorf("unknown log %q", r.Log)
	}
}

// Log1 makes an entry for the signature in the log of the Rekor v1 kind. It
// does not add it to the signature.
func (s *Sigstore) Log1(signed *Signed, at time.Time) (*rekorpb.TransparencyLogEntry, error) {
	body, kind, version, err := signed.Rekor1Body()
	if err != nil {
		return nil, err
	}
	return s.LogRekor1(body, kind, version, at)
}

// Log2 makes an entry for the signature in the log of the Rekor v2 kind. It
// does not add it to the signature.
func (s *Sigstore) Log2(signed *Signed) (*rekorpb.TransparencyLogEntry, error) {
	body, err := signed.Rekor2Body()
	if err != nil {
		return nil, err
	}
	return s.LogRekor2(body)
}

// Sign makes a signature that neither a log nor a timestamp authority knows:
// what the request says about them is not for this method.
func (s *Signer) Sign(r Request) (*Signed, error) {
	public, err := s.PublicKey()
	if err != nil {
		return nil, err
	}
	signed := &Signed{
		Format:        r.Format,
		PredicateType: r.PredicateType,
		Hash:          s.hash,
		PublicKey:     public,
		Certificate:   s.Certificate,
		Chain:         s.Chain,
	}
	switch {
	case r.Format == FormatCosign && !r.MessageSignature:
		signed.Payload, err = r.simpleSigning()
	case r.Format == FormatBundle && !r.MessageSignature:
		signed.PayloadType = types.IntotoPayloadType
		signed.Payload, err = r.statement()
	case r.Format == FormatBundle:
		signed.MessageDigest, err = r.rawDigest()
	case r.Format == FormatCosign:
		err = errors.New("a message signature needs a bundle")
	default:
		err = fmt.Errorf("unknown format %q", r.Format)
	}
	if err != nil {
		return nil, err
	}
	return signed, signed.signWith(s)
}

// signWith sets the signature.
func (s *Signed) signWith(signer *Signer) (err error) {
	if s.MessageDigest != nil {
		s.Signature, err = signer.signDigest(s.MessageDigest)
		return err
	}
	s.Signature, err = signer.sign(s.message())
	return err
}

// message is what the signature is over, where that is known.
func (s *Signed) message() []byte {
	if s.isEnvelope() {
		return dsse.PAE(s.PayloadType, s.Payload)
	}
	return s.Payload
}

// simpleSigning is the payload of the v2 format.
func (r Request) simpleSigning() ([]byte, error) {
	if r.Payload != nil {
		return r.Payload, nil
	}
	repository := r.Repository
	if repository == "" {
		repository = DefaultRepository
	}
	digest, err := name.NewDigest(repository + "@" + r.Digest)
	if err != nil {
		return nil, err
	}
	return payload.Cosign{Image: digest}.MarshalJSON()
}

// statement is the payload of a bundle.
func (r Request) statement() ([]byte, error) {
	if r.Payload != nil {
		return r.Payload, nil
	}
	return signing.Statement{Digest: r.Digest, PredicateType: r.PredicateType}.Payload()
}

// rawDigest is the artifact's digest, decoded.
func (r Request) rawDigest() ([]byte, error) {
	encoded, ok := strings.CutPrefix(r.Digest, "sha256:")
	if !ok {
		return nil, fmt.Errorf("digest %q is not of sha256", r.Digest)
	}
	return hex.DecodeString(encoded)
}
