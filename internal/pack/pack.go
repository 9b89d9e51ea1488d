package pack

import (
	"context"
	"errors"
	"fmt"
	"os"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/assay-dev/assay/internal/artifact"
)

// Type is a kind of artifact.
type Type string

// The kinds of artifact.
const (
	// Timoni is a module: a layer of what it vendors, and a layer of the rest.
	Timoni Type = "timoni"
	// Flux is a folder of manifests, as an OCIRepository expects it.
	Flux Type = "flux"
	// Generic is a folder of anything.
	Generic Type = "generic"
)

// Types are all of them; the first is the default.
func Types() []Type { return []Type{Timoni, Flux, Generic} }

// Options say what is packed.
type Options struct {
	// Dir is the folder.
	Dir string
	// Type is one of [Types].
	Type Type
	// Version is a semantic version of three parts, and becomes an annotation.
	Version string
	// Annotations are further ones of the manifest. They win over those that are
	// found in Git and in the module, but not over the version.
	Annotations map[string]string
	// Limits are those that the artifact must keep when it is published; a field
	// of zero stands for its default.
	Limits artifact.Limits
	// Getenv is os.Getenv; SOURCE_DATE_EPOCH is read from it.
	Getenv func(string) string
}

// Packed is an image that is on this disk until it is closed.
type Packed struct {
	// Image is complete: its layers are read from the disk.
	Image v1.Image
	// Digest is that of the image's manifest, "sha256:…".
	Digest string
	// Files is how many files it holds, and Bytes how many bytes they have.
	Files int
	Bytes int64
	// Skipped are the paths below Dir of what is neither a file nor a folder,
	// with slashes and in order: symbolic links first of all. Timoni and Flux
	// leave them out too.
	Skipped []string
	// Notes are what the author should know, a sentence each.
	Notes []string

	temp string
}

// Close removes the image from the disk.
func (p *Packed) Close() error { return os.RemoveAll(p.temp) }

// ErrNotAModule is wrapped by the error for a folder that is no Timoni module.
var ErrNotAModule = errors.New("not a Timoni module")

// ErrFolder is wrapped by the error for a Dir that is no folder.
var ErrFolder = errors.New("not a folder")

var errCompressed = errors.New("the compressed layers are too large")

// cause is an error that is one of the above, in its own words.
type cause struct {
	is   error
	text string
}

func (c *cause) Error() string { return c.text }
func (c *cause) Unwrap() error { return c.is }

func because(is error, format string, args ...any) error {
	return &cause{is, fmt.Sprintf(format, args...)}
}

// Pack makes an image. The caller closes it. An error wraps [ErrNotAModule] or
// [ErrFolder], or an *artifact.Error where the controller would refuse the image;
// it may be that of ctx, or of the disk.
func Pack(ctx context.Context, o Options) (_ *Packed, err error) {
	if o.Limits, err = o.Limits.WithDefaults(); err != nil {
		return nil, err
	}
	dir, err := folder(o)
	if err != nil {
		return nil, err
	}
	kind, err := o.kind(dir)
	if err != nil {
		return nil, err
	}
	p := &Packed{}
	annotations, err := o.annotate(ctx, dir, p)
	if err != nil {
		return nil, err
	}
	if p.temp, err = os.MkdirTemp("", "assay-pack-"); err != nil {
		return nil, fmt.Errorf("making a temporary folder: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.Close())
		}
	}()
	content := &image{}
	if err := p.addLayers(ctx, dir, kind, o.Limits, content); err != nil {
		return nil, err
	}
	if err := content.finish(kind, annotations); err != nil {
		return nil, err
	}
	p.Image, p.Digest, err = content.image()
	return p, err
}

// addLayers packs the layers, and reads them back as the controller will.
func (p *Packed) addLayers(ctx context.Context, dir string, kind kind, limits artifact.Limits, content *image) error {
	var files []artifact.Layer
	var compressed int64
	skipped := map[string]bool{}
	for _, spec := range kind.layers {
		l, err := packLayer(ctx, p.temp, dir, spec, limits, skipped)
		if err != nil {
			return err
		}
		content.layers = append(content.layers, l)
		files = append(files, artifact.Layer{Path: l.path})
		compressed += l.descriptor.Size
	}
	if compressed > limits.ArchiveBytes {
		// What does not compress is larger in an archive than it is.
		return because(&artifact.Error{Reason: artifact.ReasonArtifactTooLarge, Err: errCompressed},
			"the controller would refuse this: expected at most %d bytes of compressed layers, found %d", limits.ArchiveBytes, compressed)
	}
	p.Skipped = sorted(skipped)
	preview, err := artifact.Preview(files, limits)
	if err != nil {
		return fmt.Errorf("the controller would refuse this: %w", err)
	}
	p.Files, p.Bytes = preview.Files, preview.Bytes
	return nil
}
