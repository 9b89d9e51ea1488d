package signing

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	layers "github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	cosignbundle "github.com/sigstore/cosign/v2/pkg/cosign/bundle"
	cosignremote "github.com/sigstore/cosign/v2/pkg/cosign/remote"
	"github.com/sigstore/cosign/v2/pkg/oci"
	"github.com/sigstore/cosign/v2/pkg/oci/mutate"
	ociremote "github.com/sigstore/cosign/v2/pkg/oci/remote"
	"github.com/sigstore/cosign/v2/pkg/oci/static"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/assay-dev/assay/internal/verify"
)

// Attach writes the signature to the registry: beside those that are under the
// .sig tag in the format of Cosign v2, or as a referrer (under the fallback tag
// where the registry has no referrers API). As with Cosign, a key's signature
// that is there already is not written twice. Options are for credentials and
// the user agent. An error repeats the registry's words as they are.
func (s *Signed) Attach(ctx context.Context, opts ...remote.Option) error {
	opts = slices.Concat(opts, []remote.Option{remote.WithContext(ctx)})
	write := s.attachCosign
	if s.options.Format == verify.FormatBundle {
		write = s.attachBundle
	}
	return write(opts)
}

// Exists asks the registry whether it has what is to be signed. An error repeats
// the registry's words as they are.
func Exists(ctx context.Context, digest name.Digest, opts ...remote.Option) error {
	_, err := remote.Get(digest, slices.Concat(opts, []remote.Option{remote.WithContext(ctx)})...)
	return err
}

func (s *Signed) attachCosign(opts []remote.Option) error {
	made, err := s.cosign()
	if err != nil {
		return err
	}
	client := ociremote.WithRemoteOptions(opts...)
	entity, err := ociremote.SignedEntity(s.digest, client)
	if notFound := new(ociremote.EntityNotFoundError); errors.As(err, &notFound) {
		return errors.New("the registry does not have it")
	}
	if err != nil {
		return err
	}
	signed, err := mutate.AttachSignatureToEntity(entity, made, mutate.WithDupeDetector(cosignremote.NewDupeDetector(s.key.signer)))
	if err != nil {
		return err
	}
	return ociremote.WriteSignatures(s.digest.Repository, signed, client)
}

// cosign is the signature in the format of Cosign v2, with the annotations that
// Cosign writes.
// https://github.com/sigstore/cosign/blob/v2.6.5/specs/SIGNATURE_SPEC.md
func (s *Signed) cosign() (oci.Signature, error) {
	var options []static.Option
	if s.issued.leaf != nil {
		leaf, err := cryptoutils.MarshalCertificateToPEM(s.issued.leaf)
		if err != nil {
			return nil, err
		}
		chain, err := cryptoutils.MarshalCertificatesToPEM(s.issued.chain)
		if err != nil {
			return nil, err
		}
		options = append(options, static.WithCertChain(leaf, chain))
	}
	m := s.bundle.VerificationMaterial
	for _, entry := range m.GetTlogEntries() {
		options = append(options, static.WithBundle(&cosignbundle.RekorBundle{
			SignedEntryTimestamp: entry.GetInclusionPromise().GetSignedEntryTimestamp(),
			Payload: cosignbundle.RekorPayload{
				Body:           base64.StdEncoding.EncodeToString(entry.GetCanonicalizedBody()),
				IntegratedTime: entry.GetIntegratedTime(),
				LogIndex:       entry.GetLogIndex(),
				LogID:          hex.EncodeToString(entry.GetLogId().GetKeyId()),
			},
		}))
	}
	for _, t := range m.GetTimestampVerificationData().GetRfc3161Timestamps() {
		options = append(options, static.WithRFC3161Timestamp(cosignbundle.TimestampToRFC3161Timestamp(t.GetSignedTimestamp())))
	}
	return static.NewSignature(s.payload, base64.StdEncoding.EncodeToString(signatureOf(s.bundle)), options...)
}

// bundleJSON is the bundle without the spaces that protojson puts in at random.
func (s *Signed) bundleJSON() ([]byte, error) {
	document, err := protojson.Marshal(s.bundle)
	if err != nil {
		return nil, err
	}
	var compact bytes.Buffer
	err = json.Compact(&compact, document)
	return compact.Bytes(), err
}

// The config of a bundle's manifest is empty, and of the media type that says so.
const emptyConfigMediaType = "application/vnd.oci.empty.v1+json"

// attachBundle writes what Cosign writes. Its own function speaks HTTPS alone to
// a registry by plain HTTP that is not of this machine.
func (s *Signed) attachBundle(opts []remote.Option) error {
	document, err := s.bundleJSON()
	if err != nil {
		return err
	}
	subject, err := remote.Get(s.digest, opts...)
	if err != nil {
		return err
	}
	config := layers.NewLayer([]byte("{}"), emptyConfigMediaType)
	layer := layers.NewLayer(document, bundleMediaType)
	manifest := v1.Manifest{
		SchemaVersion: 2,
		MediaType:     types.OCIManifestSchema1,
		ArtifactType:  bundleMediaType,
		Subject:       &v1.Descriptor{MediaType: subject.MediaType, Digest: subject.Digest, Size: subject.Size},
		Annotations: map[string]string{
			"org.opencontainers.image.created":  s.options.Now().UTC().Format(time.RFC3339),
			"dev.sigstore.bundle.content":       "dsse-envelope",
			"dev.sigstore.bundle.predicateType": verify.SignPredicateType,
		},
	}
	for _, l := range []v1.Layer{config, layer} {
		if err := remote.WriteLayer(s.digest.Repository, l, opts...); err != nil {
			return err
		}
	}
	if manifest.Config, err = descriptorOf(config); err != nil {
		return err
	}
	// Where the registry lists no referrers, this becomes the artifact type.
	manifest.Config.ArtifactType = bundleMediaType
	described, err := descriptorOf(layer)
	if err != nil {
		return err
	}
	manifest.Layers = []v1.Descriptor{described}
	raw, err := json.Marshal(manifest)
	if err != nil {
		return err
	}
	digest, _, err := v1.SHA256(bytes.NewReader(raw))
	if err != nil {
		return err
	}
	return remote.Put(s.digest.Context().Digest(digest.String()), rawManifest(raw), opts...)
}

func descriptorOf(l v1.Layer) (v1.Descriptor, error) {
	digest, err := l.Digest()
	if err != nil {
		return v1.Descriptor{}, err
	}
	size, err := l.Size()
	if err != nil {
		return v1.Descriptor{}, err
	}
	mediaType, err := l.MediaType()
	return v1.Descriptor{MediaType: mediaType, Digest: digest, Size: size}, err
}

// rawManifest is a manifest as it is to be written.
type rawManifest []byte

// RawManifest returns it.
func (m rawManifest) RawManifest() ([]byte, error) { return m, nil }

// MediaType is that of image manifests.
func (rawManifest) MediaType() (types.MediaType, error) { return types.OCIManifestSchema1, nil }
