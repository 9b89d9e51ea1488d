package registry

import (
	"context"
	"slices"

	"github.com/assay-dev/assay/internal/verify"
)

// envelopeMediaType is that of the layers under Cosign's tag for attestations.
// https://github.com/sigstore/cosign/blob/v2.6.5/specs/ATTESTATION_SPEC.md
const envelopeMediaType = "application/vnd.dsse.envelope.v1+json"

// Attached collects the signatures of a digest, as Signatures does, and the
// attestations, which no verdict looks at: those under Cosign's tag
// sha256-<hex>.att, and the bundles that are passed over as attestations. The
// bounds are those of Signatures, for either kind. It is for people who look at
// what is there; errors are of type *Error.
func (c *Client) Attached(ctx context.Context, digest string) (signatures, attestations []verify.Signature, err error) {
	if signatures, err = c.Signatures(ctx, digest); err != nil {
		return nil, nil, err
	}
	s := &collector{client: c, digest: digest, payloads: map[string][]byte{}}
	layers, err := s.taggedLayers(ctx, ".att", envelopeMediaType)
	if err != nil {
		return nil, nil, err
	}
	listed, err := s.referrers(ctx)
	if err != nil {
		return nil, nil, err
	}
	all := slices.Concat(listed.sorted(), sortedKeys(listed.attestations))
	if len(layers)+len(all) > 2*verify.MaxSignatures {
		return nil, nil, s.tooMany()
	}
	for _, l := range layers {
		if err := s.addCosign(ctx, l); err != nil {
			return nil, nil, err
		}
	}
	for _, digest := range all {
		if err := s.addAttestation(ctx, digest); err != nil {
			return nil, nil, err
		}
	}
	return signatures, s.signatures, nil
}

// addAttestation adds the bundles of a manifest that says that they are
// attestations.
func (s *collector) addAttestation(ctx context.Context, digest string) error {
	body, found, err := s.client.manifest(ctx, digest, acceptManifests)
	if err != nil {
		return err
	}
	defer s.client.drop(len(body))
	manifest := readManifest(body)
	if !found || manifest == nil || !isAttestation(manifest.Annotations) {
		return nil
	}
	return s.addBundles(ctx, manifest)
}
