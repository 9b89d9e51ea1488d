package module

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// emptyConfig is the config of every Timoni module: what go-containerregistry
// writes for an image of which nothing is known.
var emptyConfig = []byte(`{"architecture":"","created":"0001-01-01T00:00:00Z","os":"","rootfs":{"type":"layers","diff_ids":null},"config":{}}`)

// Layer is one layer of an image. Its content is pushed as it stands, whatever
// the media type says about it.
type Layer struct {
	MediaType   types.MediaType
	Content     []byte
	Annotations map[string]string // of the descriptor in the manifest
}

// RawOptions describe an image by its parts.
type RawOptions struct {
	ConfigMediaType types.MediaType
	Config          []byte
	Layers          []Layer
	Annotations     map[string]string // of the manifest

	// Edit, if it is set, changes the manifest once it is complete, and so can
	// make it lie: about sizes, digests or media types.
	Edit func(*v1.Manifest)
}

// Raw makes an OCI image of the parts, without a look at what they hold. All of
// them are pushed, whatever becomes of the manifest in Edit.
func Raw(o RawOptions) (v1.Image, error) {
	manifest := v1.Manifest{
		SchemaVersion: 2,
		MediaType:     types.OCIManifestSchema1,
		Layers:        []v1.Descriptor{},
		Annotations:   o.Annotations,
	}
	config, err := descriptor(static.NewLayer(o.Config, o.ConfigMediaType), nil)
	if err != nil {
		return nil, err
	}
	manifest.Config = config
	parts := rawParts{config: o.Config}
	for _, l := range o.Layers {
		layer := static.NewLayer(l.Content, l.MediaType)
		entry, err := descriptor(layer, l.Annotations)
		if err != nil {
			return nil, err
		}
		manifest.Layers = append(manifest.Layers, entry)
		parts.layers = append(parts.layers, layer)
	}
	if o.Edit != nil {
		o.Edit(&manifest)
	}
	return parts.image(manifest)
}

// descriptor describes a blob as the manifest does.
func descriptor(blob v1.Layer, annotations map[string]string) (v1.Descriptor, error) {
	entry, err := partial.Descriptor(blob)
	if err != nil {
		return v1.Descriptor{}, fmt.Errorf("describing a blob: %w", err)
	}
	entry.Annotations = annotations
	return *entry, nil
}

// rawParts is what an image consists of.
type rawParts struct {
	manifest []byte
	config   []byte
	layers   []v1.Layer
}

// image puts the parts together under a manifest.
func (p rawParts) image(manifest v1.Manifest) (v1.Image, error) {
	content, err := json.Marshal(manifest)
	if err != nil {
		return nil, fmt.Errorf("encoding the manifest: %w", err)
	}
	p.manifest = content
	base, err := partial.CompressedToImage(p)
	if err != nil {
		return nil, fmt.Errorf("making the image: %w", err)
	}
	return rawImage{Image: base, layers: p.layers}, nil
}

// MediaType is the one that the manifest is pushed with.
func (p rawParts) MediaType() (types.MediaType, error) { return types.OCIManifestSchema1, nil }

// RawManifest is the manifest as it is pushed.
func (p rawParts) RawManifest() ([]byte, error) { return p.manifest, nil }

// RawConfigFile is the config as it is pushed, whatever it holds.
func (p rawParts) RawConfigFile() ([]byte, error) { return p.config, nil }

// LayerByDigest finds a layer by the digest that it really has.
func (p rawParts) LayerByDigest(want v1.Hash) (partial.CompressedLayer, error) {
	for _, layer := range p.layers {
		if got, err := layer.Digest(); err == nil && got == want {
			return layer, nil
		}
	}
	return nil, fmt.Errorf("no layer %s", want)
}

// rawImage is pushed with the layers that it was made of, even if its manifest
// names others.
type rawImage struct {
	v1.Image
	layers []v1.Layer
}

func (i rawImage) Layers() ([]v1.Layer, error) { return i.layers, nil }

// Push pushes image to a reference, "127.0.0.1:port/repo:tag", and returns its
// digest, "sha256:…". The options are for credentials.
func Push(ctx context.Context, reference string, image v1.Image, opts ...remote.Option) (string, error) {
	ref, err := name.ParseReference(reference)
	if err != nil {
		return "", fmt.Errorf("pushing: %w", err)
	}
	if err := remote.Write(ref, image, slices.Concat(opts, []remote.Option{remote.WithContext(ctx)})...); err != nil {
		return "", fmt.Errorf("pushing %s: %w", ref, err)
	}
	digest, err := image.Digest()
	if err != nil {
		return "", fmt.Errorf("computing the digest of %s: %w", ref, err)
	}
	return digest.String(), nil
}
