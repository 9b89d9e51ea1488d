package signing

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	cosignremote "github.com/sigstore/cosign/v2/pkg/cosign/remote"
	"github.com/sigstore/cosign/v2/pkg/oci"
	"github.com/sigstore/cosign/v2/pkg/oci/mutate"
	ociremote "github.com/sigstore/cosign/v2/pkg/oci/remote"
	"github.com/sigstore/cosign/v2/pkg/oci/static"
	"github.com/sigstore/sigstore/pkg/signature/payload"
)

// Signature is a signature of the v2 format, outside of any registry.
type Signature struct {
	// Payload is the simple-signing document that names the digest.
	// https://github.com/sigstore/cosign/blob/v2.6.5/specs/SIGNATURE_SPEC.md
	Payload []byte

	// Base64 is the signature over the payload, as the annotation
	// dev.cosignproject.cosign/signature has it.
	Base64 string

	// Annotations are further ones of the signature's layer: certificate,
	// chain, transparency log entry, timestamp. Those that cosign defines, and
	// their form, are not checked.
	Annotations map[string]string
}

// NewSignature signs the digest in reference, in memory. Only the payload's
// docker-reference tells of the repository; nothing is asked of a registry.
func NewSignature(reference string, key *Key) (Signature, error) {
	digest, err := name.NewDigest(reference)
	if err != nil {
		return Signature{}, fmt.Errorf("signing: %w", err)
	}
	document, err := payload.Cosign{Image: digest}.MarshalJSON()
	if err != nil {
		return Signature{}, fmt.Errorf("making the payload: %w", err)
	}
	raw, err := key.signer.SignMessage(bytes.NewReader(document))
	if err != nil {
		return Signature{}, fmt.Errorf("signing %s: %w", digest, err)
	}
	return Signature{Payload: document, Base64: base64.StdEncoding.EncodeToString(raw)}, nil
}

// oci is the signature as Cosign's library has it.
func (s Signature) oci() (oci.Signature, error) {
	return static.NewSignature(s.Payload, s.Base64, static.WithAnnotations(s.Annotations))
}

// SignCosign signs the artifact at reference in the v2 format, and adds the
// signature to those that are under its .sig tag already. As with cosign, the
// same key signs the same payload only once.
func SignCosign(ctx context.Context, reference string, key *Key, opts ...remote.Option) error {
	signature, err := NewSignature(reference, key)
	if err != nil {
		return err
	}
	return attachOnce(ctx, reference, signature, key, opts)
}

// SignCosignOver puts a right signature in the wrong place: it is over
// payloadDigest ("sha256:…"), and is attached to the artifact at reference.
func SignCosignOver(ctx context.Context, reference, payloadDigest string, key *Key, opts ...remote.Option) error {
	digest, err := name.NewDigest(reference)
	if err != nil {
		return fmt.Errorf("signing: %w", err)
	}
	signature, err := NewSignature(digest.Context().Digest(payloadDigest).String(), key)
	if err != nil {
		return err
	}
	return attachOnce(ctx, reference, signature, key, opts)
}

// attachOnce does what `cosign sign` does with a signature that it has made.
func attachOnce(ctx context.Context, reference string, signature Signature, key *Key, opts []remote.Option) error {
	digest, err := name.NewDigest(reference)
	if err != nil {
		return fmt.Errorf("attaching a signature: %w", err)
	}
	made, err := signature.oci()
	if err != nil {
		return fmt.Errorf("making the signature: %w", err)
	}
	client := clientOptions(ctx, opts)
	entity, err := ociremote.SignedEntity(digest, client)
	if notFound := new(ociremote.EntityNotFoundError); errors.As(err, &notFound) {
		entity, err = ociremote.SignedUnknown(digest, client), nil
	}
	if err != nil {
		return fmt.Errorf("reading %s: %w", digest, err)
	}
	once := mutate.WithDupeDetector(cosignremote.NewDupeDetector(key.signer))
	signed, err := mutate.AttachSignatureToEntity(entity, made, once)
	if err != nil {
		return fmt.Errorf("attaching a signature to %s: %w", digest, err)
	}
	if err := ociremote.WriteSignatures(digest.Repository, signed, client); err != nil {
		return fmt.Errorf("writing the signatures of %s: %w", digest, err)
	}
	return nil
}

// AttachCosign adds signatures, right or wrong, to those that are under the
// .sig tag of the artifact at reference, without looking for duplicates. All
// of them take a single push.
func AttachCosign(ctx context.Context, reference string, signatures []Signature, opts ...remote.Option) error {
	digest, err := name.NewDigest(reference)
	if err != nil {
		return fmt.Errorf("attaching signatures: %w", err)
	}
	var made []oci.Signature
	for _, s := range signatures {
		one, err := s.oci()
		if err != nil {
			return fmt.Errorf("making the signature: %w", err)
		}
		made = append(made, one)
	}
	return appendTo(ctx, digest, made, opts)
}

// appendTo adds layers to the image under the .sig tag of digest.
func appendTo(ctx context.Context, digest name.Digest, signatures []oci.Signature, opts []remote.Option) error {
	tag, existing, err := signaturesOf(ctx, digest, opts)
	if err != nil {
		return err
	}
	all, err := mutate.AppendSignatures(existing, false, signatures...)
	if err != nil {
		return fmt.Errorf("adding signatures to %s: %w", tag, err)
	}
	if err := remote.Write(tag, all, remoteOptions(ctx, opts)...); err != nil {
		return fmt.Errorf("writing %s: %w", tag, err)
	}
	return nil
}

// signaturesOf returns the .sig tag of digest and what is there: an empty
// image if there is nothing.
func signaturesOf(ctx context.Context, digest name.Digest, opts []remote.Option) (name.Tag, oci.Signatures, error) {
	client := clientOptions(ctx, opts)
	tag, err := ociremote.SignatureTag(digest, client)
	if err != nil {
		return name.Tag{}, nil, fmt.Errorf("naming the signatures of %s: %w", digest, err)
	}
	existing, err := ociremote.Signatures(tag, client)
	if err != nil {
		return name.Tag{}, nil, fmt.Errorf("reading %s: %w", tag, err)
	}
	return tag, existing, nil
}

// clientOptions are the options for Cosign's library.
func clientOptions(ctx context.Context, opts []remote.Option) ociremote.Option {
	return ociremote.WithRemoteOptions(remoteOptions(ctx, opts)...)
}

// remoteOptions are the options for go-containerregistry.
func remoteOptions(ctx context.Context, opts []remote.Option) []remote.Option {
	return slices.Concat(opts, []remote.Option{remote.WithContext(ctx)})
}
