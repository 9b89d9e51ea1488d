package signing

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	intoto "github.com/in-toto/attestation/go/v1"
	cosignbundle "github.com/sigstore/cosign/v2/pkg/cosign/bundle"
	ociremote "github.com/sigstore/cosign/v2/pkg/oci/remote"
	"github.com/sigstore/cosign/v2/pkg/types"
	"github.com/sigstore/sigstore/pkg/signature/dsse"
	"google.golang.org/protobuf/encoding/protojson"
)

// SignPredicateType is what makes a bundle a signature. A bundle with another
// predicate type attests something about the artifact, and is no signature.
const SignPredicateType = types.CosignSignPredicateType

// Statement is what a bundle says about an artifact.
type Statement struct {
	// Digest is the subject, "sha256:…".
	Digest string

	// PredicateType is a URI. Empty stands for SignPredicateType.
	PredicateType string
}

// predicateType is the one that is written.
func (s Statement) predicateType() string {
	if s.PredicateType == "" {
		return SignPredicateType
	}
	return s.PredicateType
}

// Payload encodes the statement as cosign v2.6 does it: a subject with a digest
// and no name, and no predicate.
func (s Statement) Payload() ([]byte, error) {
	algorithm, hex, ok := strings.Cut(s.Digest, ":")
	if !ok {
		return nil, fmt.Errorf("digest %q has no algorithm", s.Digest)
	}
	return protojson.Marshal(&intoto.Statement{
		Type:          intoto.StatementTypeUri,
		Subject:       []*intoto.ResourceDescriptor{{Digest: map[string]string{algorithm: hex}}},
		PredicateType: s.predicateType(),
	})
}

// NewBundle signs a statement, in memory, and returns the bundle in JSON:
// version 0.3, with a DSSE envelope, and with the digest of the public key as
// its hint.
func NewBundle(statement Statement, key *Key) ([]byte, error) {
	content, err := statement.Payload()
	if err != nil {
		return nil, fmt.Errorf("making the statement: %w", err)
	}
	envelope, err := dsse.WrapSigner(key.signer, types.IntotoPayloadType).SignMessage(bytes.NewReader(content))
	if err != nil {
		return nil, fmt.Errorf("signing the statement: %w", err)
	}
	bundle, err := cosignbundle.MakeNewBundle(key.private.Public(), nil, content, envelope, key.public, nil)
	if err != nil {
		return nil, fmt.Errorf("making the bundle: %w", err)
	}
	return bundle, nil
}

// SignBundle signs the artifact at reference with a Sigstore bundle, and
// attaches it as a referrer: through the referrers API, or under the fallback
// tag if the registry has no such API.
func SignBundle(ctx context.Context, reference string, key *Key, opts ...remote.Option) error {
	digest, err := name.NewDigest(reference)
	if err != nil {
		return fmt.Errorf("signing: %w", err)
	}
	return SignStatement(ctx, reference, Statement{Digest: digest.DigestStr()}, key, opts...)
}

// SignStatement attaches a bundle with any statement to the artifact at
// reference: an attestation, or a signature of another artifact.
func SignStatement(ctx context.Context, reference string, statement Statement, key *Key, opts ...remote.Option) error {
	bundle, err := NewBundle(statement, key)
	if err != nil {
		return err
	}
	return AttachBundle(ctx, reference, bundle, statement.predicateType(), opts...)
}

// AttachBundle attaches a bundle, right or wrong, to the artifact at reference.
// The predicate type is for the annotation of the manifest, by which nobody
// should judge.
func AttachBundle(ctx context.Context, reference string, bundle []byte, predicateType string, opts ...remote.Option) error {
	digest, err := name.NewDigest(reference)
	if err != nil {
		return fmt.Errorf("attaching a bundle: %w", err)
	}
	client := clientOptions(ctx, opts)
	if err := ociremote.WriteAttestationNewBundleFormat(digest, bundle, predicateType, client); err != nil {
		return fmt.Errorf("attaching a bundle to %s: %w", digest, err)
	}
	return nil
}
