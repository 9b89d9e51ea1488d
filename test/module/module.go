// Package module makes OCI artifacts to test with: Timoni modules as `timoni
// mod push` makes them, Flux artifacts as `flux push artifact` does, and
// images of any bytes whatever, for what a hostile publisher might push.
//
// The same options give the same bytes, and so the same digest, with one
// release of Go: its gzip may change from one to the next.
package module

import (
	"maps"
	"strings"
	"time"

	"github.com/assay-dev/assay/test/fixtures"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// The media types and annotations of a Timoni module.
// https://github.com/stefanprodan/timoni/blob/main/api/v1alpha1/module.go
const (
	ConfigMediaType       types.MediaType = "application/vnd.timoni.config.v1+json"
	ContentMediaType      types.MediaType = "application/vnd.timoni.content.v1.tar+gzip"
	ContentTypeAnnotation                 = "sh.timoni.content.type"
	VendorContent                         = "module/vendor"
	ModuleContent                         = "module"
)

// The annotations of OCI that both kinds of artifact use.
// https://github.com/opencontainers/image-spec/blob/v1.1.1/annotations.md
const (
	VersionAnnotation  = "org.opencontainers.image.version"
	SourceAnnotation   = "org.opencontainers.image.source"
	RevisionAnnotation = "org.opencontainers.image.revision"
	CreatedAnnotation  = "org.opencontainers.image.created"
)

// vendorDir is where a module keeps its dependencies. Timoni puts everything
// in it, and nothing else, in the first layer.
const vendorDir = "cue.mod/"

// Options describe a Timoni module. The zero value is a small module that is
// complete and can be applied, without a version.
type Options struct {
	// Version is the value of org.opencontainers.image.version, without which
	// Timoni pushes nothing. The annotation is left out if it is empty.
	Version string

	// Files is the content of the second layer by path, "timoni.cue". Nil
	// stands for a small module with one ConfigMap.
	Files map[string]string

	// Vendor is the content of the first layer by path, "cue.mod/module.cue".
	// Nil stands for the module.cue of the small module.
	Vendor map[string]string

	// Source and Revision are the URL and the commit of the module's source
	// code, if they are not empty.
	Source   string
	Revision string

	// Created is when the module was made, if it is not zero.
	Created time.Time

	// Annotations are further ones of the manifest. They win over the above.
	Annotations map[string]string
}

// New makes a Timoni module: a layer of what is vendored, then a layer of the
// module itself.
func New(o Options) (v1.Image, error) {
	files, vendor := defaults()
	if o.Files != nil {
		files = o.Files
	}
	if o.Vendor != nil {
		vendor = o.Vendor
	}
	layers, err := contentLayers(vendor, files)
	if err != nil {
		return nil, err
	}
	return Raw(RawOptions{
		ConfigMediaType: ConfigMediaType,
		Config:          emptyConfig,
		Layers:          layers,
		Annotations:     o.annotations(),
	})
}

// contentLayers makes the two layers of a module.
func contentLayers(vendor, files map[string]string) ([]Layer, error) {
	first, err := Archive(vendor)
	if err != nil {
		return nil, err
	}
	second, err := Archive(files)
	if err != nil {
		return nil, err
	}
	return []Layer{
		{ContentMediaType, first, map[string]string{ContentTypeAnnotation: VendorContent}},
		{ContentMediaType, second, map[string]string{ContentTypeAnnotation: ModuleContent}},
	}, nil
}

// annotations are those of the manifest.
func (o Options) annotations() map[string]string {
	annotations := map[string]string{
		VersionAnnotation:  o.Version,
		SourceAnnotation:   o.Source,
		RevisionAnnotation: o.Revision,
		CreatedAnnotation:  formatTime(o.Created),
	}
	maps.DeleteFunc(annotations, func(_, value string) bool { return value == "" })
	maps.Copy(annotations, o.Annotations)
	return annotations
}

// formatTime writes t as the annotations want it, and the zero time as nothing.
func formatTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// defaults is the small module, divided as Timoni does it.
func defaults() (files, vendor map[string]string) {
	files, vendor = map[string]string{}, map[string]string{}
	for name, content := range fixtures.Module() {
		if strings.HasPrefix(name, vendorDir) {
			vendor[name] = content
			continue
		}
		files[name] = content
	}
	return files, vendor
}
