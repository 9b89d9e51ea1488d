package dockerfile

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Platforms are those that the image is for.
var Platforms = []v1.Platform{{OS: "linux", Architecture: "amd64"}, {OS: "linux", Architecture: "arm64"}}

// Index makes the image for all [Platforms], working in an empty folder. Its
// annotations are the Dockerfile's labels, as are those of its images.
func (r *Recipe) Index(ctx context.Context, folder string, args Args) (v1.ImageIndex, error) {
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	s, err := r.ship(args)
	if err != nil {
		return nil, err
	}
	for _, platform := range Platforms {
		program, err := r.Program(ctx, filepath.Join(folder, platform.Architecture), platform, args)
		if err != nil {
			return nil, err
		}
		image, err := r.image(s, program, platform, args.Created)
		if err != nil {
			return nil, err
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: &platform}})
	}
	return mutate.Annotations(index, s.labels).(v1.ImageIndex), nil
}

// image has a layer for each COPY, and the configuration that BuildKit gives an
// image from scratch.
func (r *Recipe) image(s *shipped, program string, platform v1.Platform, created time.Time) (v1.Image, error) {
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	image, err := mutate.ConfigFile(image, &v1.ConfigFile{
		OS: platform.OS, Architecture: platform.Architecture, Created: v1.Time{Time: created},
		RootFS: v1.RootFS{Type: "layers"},
		Config: v1.Config{
			User: s.user, Entrypoint: s.entrypoint, Labels: s.labels, WorkingDir: "/",
			Env: []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
		},
	})
	if err != nil {
		return nil, err
	}
	for _, f := range s.files {
		from := program
		if !f.built {
			if r.ignore(f.from) {
				return nil, fmt.Errorf("%s: .dockerignore leaves it out", f.written)
			}
			from = filepath.Join(r.root, f.from)
		}
		layer, err := f.layer(from, created)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.written, err)
		}
		image, err = mutate.Append(image, mutate.Addendum{Layer: layer, MediaType: types.OCILayer,
			History: v1.History{CreatedBy: f.written, Created: v1.Time{Time: created}}})
		if err != nil {
			return nil, err
		}
	}
	return mutate.Annotations(image, s.labels).(v1.Image), nil
}

// layer holds the file and the folders that it is in, all of root's.
func (f file) layer(from string, created time.Time) (v1.Layer, error) {
	content, err := os.ReadFile(from)
	if err != nil {
		return nil, err
	}
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	name := f.to[1:]
	for n, c := range name {
		if c != '/' {
			continue
		}
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: name[:n+1], Mode: 0o755, ModTime: created}); err != nil {
			return nil, err
		}
	}
	header := &tar.Header{Typeflag: tar.TypeReg, Name: path.Clean(name), Mode: int64(f.mode), Size: int64(len(content)), ModTime: created}
	if err := w.WriteHeader(header); err != nil {
		return nil, err
	}
	if _, err := w.Write(content); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(archive.Bytes())), nil
	}, tarball.WithMediaType(types.OCILayer), tarball.WithCompressedCaching)
}
