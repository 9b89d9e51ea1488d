package signing

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// bundleMediaType is how the media type of every version of bundles begins.
const bundleMediaType = "application/vnd.dev.sigstore.bundle"

// predicateAnnotation is where cosign repeats a bundle's predicate type.
const predicateAnnotation = "dev.sigstore.bundle.predicateType"

// CopySignature attaches the signatures of one artifact to another, as an
// attacker does who has none of his own: those of the v2 format and the
// bundles, each byte for byte. It fails if the first artifact has neither.
func CopySignature(ctx context.Context, from, to string, opts ...remote.Option) error {
	source, err := name.NewDigest(from)
	if err != nil {
		return fmt.Errorf("copying signatures: %w", err)
	}
	target, err := name.NewDigest(to)
	if err != nil {
		return fmt.Errorf("copying signatures: %w", err)
	}
	v2, err := copyCosign(ctx, source, target, opts)
	if err != nil {
		return err
	}
	bundles, err := copyBundles(ctx, source, target, opts)
	if err != nil {
		return err
	}
	if v2+bundles == 0 {
		return fmt.Errorf("copying signatures: %s has none", source)
	}
	return nil
}

// copyCosign copies the signatures of the v2 format, and counts them.
func copyCosign(ctx context.Context, source, target name.Digest, opts []remote.Option) (int, error) {
	tag, existing, err := signaturesOf(ctx, source, opts)
	if err != nil {
		return 0, err
	}
	signatures, err := existing.Get()
	if err != nil {
		return 0, fmt.Errorf("reading %s: %w", tag, err)
	}
	if len(signatures) == 0 {
		return 0, nil
	}
	return len(signatures), appendTo(ctx, target, signatures, opts)
}

// copyBundles copies the bundles, and counts them.
func copyBundles(ctx context.Context, source, target name.Digest, opts []remote.Option) (int, error) {
	referrers, err := remote.Referrers(source, remoteOptions(ctx, opts)...)
	if err != nil {
		return 0, fmt.Errorf("listing the referrers of %s: %w", source, err)
	}
	index, err := referrers.IndexManifest()
	if err != nil {
		return 0, fmt.Errorf("reading the referrers of %s: %w", source, err)
	}
	copied := 0
	for _, referrer := range index.Manifests {
		bundle, predicateType, err := readBundle(ctx, source.Context().Digest(referrer.Digest.String()), opts)
		if errors.Is(err, errNoBundle) {
			continue
		}
		if err != nil {
			return 0, err
		}
		if err := AttachBundle(ctx, target.String(), bundle, predicateType, opts...); err != nil {
			return 0, err
		}
		copied++
	}
	return copied, nil
}

// errNoBundle means that a referrer is something else.
var errNoBundle = errors.New("not a bundle")

// readBundle fetches a bundle and the predicate type of its annotation.
func readBundle(ctx context.Context, ref name.Digest, opts []remote.Option) (bundle []byte, predicateType string, err error) {
	image, err := remote.Image(ref, remoteOptions(ctx, opts)...)
	if err != nil {
		return nil, "", fmt.Errorf("reading %s: %w", ref, err)
	}
	manifest, err := image.Manifest()
	if err != nil {
		return nil, "", fmt.Errorf("reading %s: %w", ref, err)
	}
	if len(manifest.Layers) != 1 || !strings.HasPrefix(string(manifest.Layers[0].MediaType), bundleMediaType) {
		return nil, "", errNoBundle
	}
	bundle, err = readLayer(image, manifest.Layers[0].Digest)
	if err != nil {
		return nil, "", fmt.Errorf("reading the bundle %s: %w", ref, err)
	}
	return bundle, manifest.Annotations[predicateAnnotation], nil
}

// readLayer reads a layer as it is stored.
func readLayer(image v1.Image, h v1.Hash) ([]byte, error) {
	layer, err := image.LayerByDigest(h)
	if err != nil {
		return nil, err
	}
	content, err := layer.Compressed()
	if err != nil {
		return nil, err
	}
	all, err := io.ReadAll(content)
	return all, errors.Join(err, content.Close())
}
