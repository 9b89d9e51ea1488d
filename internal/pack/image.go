package pack

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/assay-dev/assay/internal/artifact"
)

// layer is a compressed layer in a file.
type layer struct {
	path       string
	descriptor v1.Descriptor
}

// packLayer packs a layer into a new file in temp.
func packLayer(ctx context.Context, temp, dir string, spec layerSpec, limits artifact.Limits, skipped map[string]bool) (_ *layer, err error) {
	f, err := os.CreateTemp(temp, "layer-*.tar.gz")
	if err != nil {
		return nil, fmt.Errorf("making a temporary file: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()

	hash := sha256.New()
	counted := &counter{}
	buffered := bufio.NewWriterSize(io.MultiWriter(f, hash, counted), 64<<10)
	if err := archive(ctx, buffered, dir, spec, limits, skipped); err != nil {
		return nil, err
	}
	if err := buffered.Flush(); err != nil {
		return nil, fmt.Errorf("writing a temporary file: %w", err)
	}
	return &layer{path: f.Name(), descriptor: v1.Descriptor{
		MediaType:   spec.mediaType,
		Size:        counted.n,
		Digest:      v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(hash.Sum(nil))},
		Annotations: spec.annotations,
	}}, nil
}

type counter struct{ n int64 }

func (c *counter) Write(p []byte) (int, error) {
	c.n += int64(len(p))
	return len(p), nil
}

// Digest, Compressed, Size and MediaType make it a partial.CompressedLayer.

func (l *layer) Digest() (v1.Hash, error)            { return l.descriptor.Digest, nil }
func (l *layer) Compressed() (io.ReadCloser, error)  { return os.Open(filepath.Clean(l.path)) }
func (l *layer) Size() (int64, error)                { return l.descriptor.Size, nil }
func (l *layer) MediaType() (types.MediaType, error) { return l.descriptor.MediaType, nil }
func (l *layer) Descriptor() (*v1.Descriptor, error) { return &l.descriptor, nil }

// image is a partial.CompressedImageCore.
type image struct {
	layers   []*layer
	config   []byte
	manifest []byte
}

// finish makes config and manifest.
func (i *image) finish(k kind, annotations map[string]string) (err error) {
	if i.config, err = k.rawConfig(annotations[createdAnnotation]); err != nil {
		return err
	}
	digest, size, err := v1.SHA256(bytes.NewReader(i.config))
	if err != nil {
		return err
	}
	manifest := v1.Manifest{
		SchemaVersion: 2,
		MediaType:     types.OCIManifestSchema1,
		ArtifactType:  k.artifactType,
		Config:        v1.Descriptor{MediaType: k.config, Size: size, Digest: digest},
		Annotations:   annotations,
	}
	for _, l := range i.layers {
		manifest.Layers = append(manifest.Layers, l.descriptor)
	}
	i.manifest, err = json.Marshal(manifest)
	return err
}

func (i *image) image() (v1.Image, string, error) {
	complete, err := partial.CompressedToImage(i)
	if err != nil {
		return nil, "", err
	}
	digest, err := complete.Digest()
	return complete, digest.String(), err
}

func (i *image) RawConfigFile() ([]byte, error)      { return i.config, nil }
func (i *image) RawManifest() ([]byte, error)        { return i.manifest, nil }
func (i *image) MediaType() (types.MediaType, error) { return types.OCIManifestSchema1, nil }

func (i *image) LayerByDigest(h v1.Hash) (partial.CompressedLayer, error) {
	for _, l := range i.layers {
		if l.descriptor.Digest == h {
			return l, nil
		}
	}
	return nil, fmt.Errorf("expected one of %s layers, found none with the digest %s", strconv.Itoa(len(i.layers)), h)
}
